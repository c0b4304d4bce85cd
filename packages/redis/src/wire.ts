import { ENTITY_KINDS } from '@canary-release/core/registry/internal'
import type { AuditEntry, Commit, Position, Row, RowChange, RowContent } from '@canary-release/core/registry'
import { DataFault } from './faults.js'
import type { Reply } from './link.js'

// What is kept in Redis, and how it is read back. Whoever may write there may write nonsense: it is an error, never less
// than what was stored.

/** An entry of the log: a commit, or the word that all must be loaded anew. */
export interface LogEntry {
  readonly version: number
  readonly id: string
  readonly prev: string
  /** `null`: the commit was too large to be logged. */
  readonly commit: Commit | null
}

/** Keys of a proposal, one a line, as the script compares them: JSON has no line breaks of its own. */
export function lines(keys: readonly string[]): string {
  return keys.map((key) => JSON.stringify(key)).join('\n')
}

export function rowText({ entity, release }: RowContent): string {
  return JSON.stringify({ entity, release })
}

/** A row from `kind/id` and `revision JSON`. */
export function readRow(key: string, text: string): Row {
  return reading(`row ${key}`, () => {
    const space = text.indexOf(' ')
    const revision = Number(text.slice(0, space))
    if (space < 1 || !Number.isSafeInteger(revision)) throw new Error('has no revision')
    const slash = key.indexOf('/')
    const content = readContent(key.slice(0, slash), key.slice(slash + 1), JSON.parse(text.slice(space + 1)))
    return { ...content, revision }
  })
}

/** How many entries are remembered: what comes with the answer to a change comes once more by watching. */
const REMEMBERED = 256

/** Reads entries of the log, each once, and knows the newest of them. */
export class LogReader {
  /** By version and the id of the commit before. */
  readonly #newest = new Map<string, { readonly changes: string; readonly entry: LogEntry }>()

  /** @throws {DataFault} where it cannot be read */
  read(reply: Reply): LogEntry {
    const [version, fields] = readEntry(reply)
    const key = `${version} ${fields.get('prev')}`
    const changes = fields.get('changes') ?? ''
    const known = this.#newest.get(key)
    if (known !== undefined && known.entry.id === fields.get('id') && known.changes === changes) return known.entry
    const entry = readLogEntry(version, fields)
    this.#newest.set(key, { changes, entry })
    if (this.#newest.size > REMEMBERED) {
      const oldest = this.#newest.keys().next().value
      if (oldest !== undefined) this.#newest.delete(oldest)
    }
    return entry
  }

  /** The commits that follow on a position, one on the other, as far as they were read. */
  after({ version, id }: Position): readonly Commit[] {
    const commits: Commit[] = []
    let commit = this.#newest.get(`${version + 1} ${id}`)?.entry.commit
    while (commit !== undefined && commit !== null) {
      commits.push(commit)
      commit = this.#newest.get(`${commit.version + 1} ${commit.id}`)?.entry.commit
    }
    return commits
  }
}

function readLogEntry(version: number, fields: ReadonlyMap<string, string>): LogEntry {
  return reading(`entry ${version} of the log`, () => {
    const id = wordOf(fields, 'id')
    const prev = wordOf(fields, 'prev')
    if (fields.has('anew')) return { version, id, prev, commit: null }
    const writes = wordOf(fields, 'writes')
    const changes: unknown = JSON.parse(wordOf(fields, 'changes'))
    if (!Array.isArray(changes)) throw new Error('changes are no list')
    const commit: Commit = {
      id,
      prev,
      version,
      writes: writes === '' ? [] : writes.split('\n').map((line) => wordFrom(JSON.parse(line))),
      changes: changes.map(readChange),
      audit: readAudit(version, wordOf(fields, 'audit')),
    }
    return { version, id, prev, commit }
  })
}

export function readAuditEntry(reply: Reply): AuditEntry {
  const [version, fields] = readEntry(reply)
  return reading(`audit entry ${version}`, () => readAudit(version, wordOf(fields, 'entry')))
}

export const NONSENSE = 'Redis answered what the store cannot read'

/** An array of replies, or the error that this is no answer of the store. */
export function listFrom(reply: unknown): readonly Reply[] {
  if (!Array.isArray(reply)) throw new DataFault(NONSENSE)
  return reply
}

/** A position from three replies. */
export function readPosition([epoch, version, id]: readonly Reply[]): Position {
  const at = { epoch: String(epoch), version: Number(version), id: String(id ?? '') }
  if (!Number.isSafeInteger(at.version)) throw new DataFault(NONSENSE)
  return at
}

function readEntry(reply: Reply): readonly [version: number, fields: ReadonlyMap<string, string>] {
  const [entryId, pairs] = listFrom(reply)
  const [, version] = /^(\d{1,16})-0$/.exec(String(entryId)) ?? []
  if (version === undefined)
    throw new DataFault('Redis holds other data under the keys of this store: choose another name')
  const fields = new Map<string, string>()
  const flat = listFrom(pairs)
  for (let i = 0; i + 1 < flat.length; i += 2) fields.set(String(flat[i]), String(flat[i + 1]))
  return [Number(version), fields]
}

function readAudit(version: number, text: string): AuditEntry {
  const entry: unknown = JSON.parse(text)
  if (!isRecord(entry) || !Array.isArray(entry['changes'])) throw new Error('the audit entry is none')
  // oxlint-disable-next-line typescript/consistent-type-assertions -- shown to people only
  return { ...(entry as unknown as AuditEntry), version }
}

function readChange(change: unknown): RowChange {
  if (!isRecord(change)) throw new Error('a change is no record')
  const { kind, id, row } = change
  const known = kindFrom(kind)
  if (row === null) return { kind: known, id: wordFrom(id), row }
  return { kind: known, id: wordFrom(id), row: readContent(known, wordFrom(id), row) }
}

function readContent(kind: string, id: string, content: unknown): RowContent {
  if (!isRecord(content)) throw new Error('is no record')
  const { entity, release } = content
  if (!isRecord(entity) || entity['id'] !== id) throw new Error('its entity is of another id')
  if (release !== null && !isRecord(release)) throw new Error('its release is no record')
  // oxlint-disable-next-line typescript/consistent-type-assertions -- the registry compiles what it gets, and refuses what it cannot
  return { kind: kindFrom(kind), entity, release } as unknown as RowContent
}

function kindFrom(kind: unknown): RowContent['kind'] {
  if (!isKind(kind)) throw new Error('is of an unknown kind')
  return kind
}

const KINDS: ReadonlySet<unknown> = new Set(ENTITY_KINDS)

function isKind(kind: unknown): kind is RowContent['kind'] {
  return KINDS.has(kind)
}

function wordOf(fields: ReadonlyMap<string, string>, name: string): string {
  return wordFrom(fields.get(name))
}

function wordFrom(value: unknown): string {
  if (typeof value !== 'string') throw new Error('lacks a text')
  return value
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

/** Says which record it was that could not be read. */
function reading<Value>(what: string, read: () => Value): Value {
  try {
    return read()
  } catch (cause) {
    throw new DataFault(`${what} in Redis cannot be read: restore it from a backup, or delete it`, { cause })
  }
}
