import type { Row } from '@canary-release/core/registry'
import { preconditionFailed } from './refusal.js'

/** Checks what a request demands of the record that it changes: {@link Refusal} 412. */
export type Preconditions = (row: Row | null) => void

/** The ETag of a record: it differs after each change of it, also of its release's state. */
export function etagOf(row: Row): string {
  return `"${row.revision}"`
}

/** Reads `If-Match`, against lost updates, and `If-None-Match: *`, against replacing what was to be created. */
export function createPreconditions(ifMatch: string | undefined, ifNoneMatch: string | undefined): Preconditions {
  const wanted = ifMatch?.split(',').map((tag) => tag.trim())
  return (row) => {
    if (row !== null && ifNoneMatch?.trim() === '*') throw preconditionFailed()
    if (wanted === undefined) return
    if (row === null || !(wanted.includes('*') || wanted.includes(etagOf(row)))) throw preconditionFailed()
  }
}
