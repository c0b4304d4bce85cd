import type { Position, Row, StoredState } from '@canary-release/core/registry'
import { DataFault } from './faults.js'
import { type Keys, keyList } from './keys.js'
import type { Link } from './link.js'
import { POSITION } from './scripts.js'
import { type LogEntry, type LogReader, listFrom, readPosition, readRow } from './wire.js'

/** Rows of one page: few enough that neither side stops for long. */
const PAGE = '250'
/** Entries of the log that are asked for at once. */
export const LOG_PAGE = '64'
/** Where changes are so large or so many that the log does not reach over one reading of the rows. */
const ATTEMPTS = 20

/** The stored history, and the id of the commit that it has at a version; `null` where that is not known any more. */
export interface Standing {
  readonly stored: Position
  readonly idAt: string | null
}

export async function standing(link: Link, keys: Keys, version: number): Promise<Standing> {
  const reply = listFrom(await link.run(POSITION, keyList(keys), [String(version)]))
  return { stored: readPosition(reply), idAt: reply[3] === null || reply[3] === undefined ? null : String(reply[3]) }
}

/**
 * All rows, as they were at one position; `null` where nothing was ever stored.
 *
 * The rows are read page by page, while others change them. What came after the position that was read first is in the
 * log, and is made on them once more, in order: then all rows are of the position of its last entry.
 */
export async function loadState(
  link: Link,
  keys: Keys,
  log: LogReader,
  signal?: AbortSignal,
): Promise<StoredState | null> {
  for (let attempt = 0; attempt < ATTEMPTS; attempt += 1) {
    /* oxlint-disable no-await-in-loop -- one after the other */
    const { stored: before } = await standing(link, keys, 0)
    if (before.version === 0) return null
    const rows = await scan(link, keys, signal)
    const { stored: after } = await standing(link, keys, 0)
    const entries = after.epoch === before.epoch ? await entriesBetween(link, keys, log, before, after) : null
    if (entries !== null && replay(rows, entries)) return { at: after, rows: [...rows.values()] }
    /* oxlint-enable no-await-in-loop */
  }
  throw new DataFault('the rows in Redis changed too much while they were read')
}

async function scan(link: Link, keys: Keys, signal: AbortSignal | undefined): Promise<Map<string, Row>> {
  const rows = new Map<string, Row>()
  let cursor = '0'
  do {
    signal?.throwIfAborted()
    // oxlint-disable-next-line no-await-in-loop -- each page says where the next one begins
    const [next, page] = listFrom(await link.send(['HSCAN', keys.rows, cursor, 'COUNT', PAGE]))
    const pairs = listFrom(page)
    for (let i = 0; i + 1 < pairs.length; i += 2) {
      const key = String(pairs[i])
      rows.set(key, readRow(key, String(pairs[i + 1])))
    }
    cursor = String(next)
  } while (cursor !== '0')
  return rows
}

/** The log after one position, up to another one; `null` where it does not reach from one to the other. */
async function entriesBetween(
  link: Link,
  keys: Keys,
  log: LogReader,
  from: Position,
  to: Position,
): Promise<readonly LogEntry[] | null> {
  const entries: LogEntry[] = []
  let at: Pick<Position, 'version' | 'id'> = from
  while (at.version < to.version) {
    const range = [`${at.version + 1}-0`, `${to.version}-0`]
    // oxlint-disable-next-line no-await-in-loop -- each page follows on the one before
    const page = listFrom(await link.send(['XRANGE', keys.log, ...range, 'COUNT', LOG_PAGE]))
    if (page.length === 0) return null
    for (const reply of page) {
      const entry = log.read(reply)
      if (entry.version !== at.version + 1 || entry.prev !== at.id) return null
      entries.push(entry)
      at = entry
    }
  }
  return at.id === to.id ? entries : null
}

/** Makes commits on rows; false where one of them is not in the log. */
function replay(rows: Map<string, Row>, entries: readonly LogEntry[]): boolean {
  for (const { commit, version } of entries) {
    if (commit === null) return false
    for (const { kind, id, row } of commit.changes) {
      if (row === null) rows.delete(`${kind}/${id}`)
      else rows.set(`${kind}/${id}`, { ...row, revision: version })
    }
  }
  return true
}
