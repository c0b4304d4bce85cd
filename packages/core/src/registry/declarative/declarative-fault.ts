import { CanaryError } from '../../errors.js'
import type { TextPlace } from '../stores/json-place.js'

export type Path = readonly (string | number)[]

/** What is wrong in a file, and where. */
export interface PlacedFault {
  readonly place: TextPlace
  readonly path: Path
  readonly reason: string
}

/** How many faults of a file are listed. */
const MAX_LISTED = 20

/** The error of a file: one fault in one line, several in a list. */
export function declarativeError(faults: readonly PlacedFault[]): CanaryError {
  const words = faults.slice(0, MAX_LISTED).map(({ place: { line, column }, path, reason }) => {
    const where = path.length === 0 ? '' : ` ${path.join('.').slice(0, 500)}:`
    return `line ${line}, column ${column}:${where} ${reason}`
  })
  const [only = ''] = words
  if (faults.length === 1) return new CanaryError('ERR_CANARY_OPTION', `declarative file, ${only}`)
  const more = faults.length > MAX_LISTED ? [`… and ${faults.length - MAX_LISTED} more`] : []
  const list = [...words, ...more].map((line) => `\n  ${line}`).join('')
  return new CanaryError('ERR_CANARY_OPTION', `declarative file, ${faults.length} faults:${list}`)
}
