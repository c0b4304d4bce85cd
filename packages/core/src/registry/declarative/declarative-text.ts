import { LineCounter, isNode, parseDocument } from 'yaml'
import { CanaryError } from '../../errors.js'
import { type TextPlace, jsonFault, jsonPlace } from '../stores/json-place.js'

export type Path = readonly (string | number)[]

/** A text as a value, with where its parts are. */
export interface DeclarativeText {
  readonly value: unknown
  /** The error of what is at a path. */
  fault(path: Path, reason: string): CanaryError
}

const MAX_LENGTH = 32 * 1024 * 1024
/** Kong's exports hold no aliases; a few by hand are fine, and a bomb of them is not. */
const MAX_ALIASES = 100

/** @throws {CanaryError} ERR_CANARY_OPTION where the text cannot be read */
export function readDeclarativeText(text: string, format: 'yaml' | 'json'): DeclarativeText {
  if (text.length > MAX_LENGTH) throw fault({ line: 1, column: 1 }, [], `longer than ${MAX_LENGTH} characters`)
  return format === 'json' ? readJson(text) : readYaml(text)
}

function fault({ line, column }: TextPlace, path: Path, reason: string): CanaryError {
  const where = path.length === 0 ? '' : ` ${path.join('.')}:`
  return new CanaryError('ERR_CANARY_OPTION', `declarative file, line ${line}, column ${column}:${where} ${reason}`)
}

function readJson(text: string): DeclarativeText {
  const wrong = jsonFault(text)
  if (wrong !== null) throw fault(wrong.place, [], wrong.reason)
  return { value: JSON.parse(text), fault: (path, reason) => fault(jsonPlace(text, path), path, reason) }
}

function readYaml(text: string): DeclarativeText {
  const counter = new LineCounter()
  const placeOf = (offset: number): TextPlace => {
    const { line, col } = counter.linePos(offset)
    return { line: Math.max(1, line), column: Math.max(1, col) }
  }
  const { document, value } = compose(text, counter)
  const [error] = [...document.errors, ...document.warnings]
  if (error !== undefined) throw fault(placeOf(error.pos[0]), [], error.message)
  const at = (path: Path): TextPlace => {
    for (let depth = path.length; depth >= 0; depth -= 1) {
      const node: unknown = depth === 0 ? document.contents : document.getIn(path.slice(0, depth), true)
      if (isNode(node) && node.range) return placeOf(node.range[0])
    }
    return { line: 1, column: 1 }
  }
  return { value, fault: (path, reason) => fault(at(path), path, reason) }
}

/** Hostile texts make the library throw: too many aliases, or nested too deep for the stack. */
function compose(text: string, lineCounter: LineCounter) {
  try {
    const document = parseDocument(text, { lineCounter, version: '1.2', merge: false, prettyErrors: false })
    const value: unknown = document.errors.length > 0 ? null : document.toJS({ maxAliasCount: MAX_ALIASES })
    return { document, value }
  } catch (error) {
    throw fault({ line: 1, column: 1 }, [], error instanceof Error ? error.message : String(error))
  }
}
