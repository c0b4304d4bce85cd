import { createHash } from 'node:crypto'
import { z } from 'zod'
import { type Body, isBody } from '../entities/body.js'
import { ENTITY_KINDS } from '../entities/entities.js'
import { says } from '../entities/fields.js'
import { type TextPlace, jsonFault, jsonPlace } from './json-place.js'
import { referencesOf } from '../entities/keys.js'
import type { Row } from '../records/rows.js'
import type { AuditEntry, Commit, Position, StoredState } from '../records/store.js'
import { Tables } from '../records/tables.js'
import { ViolationError, danglingReference, schemaViolation } from '../entities/violation.js'
import { logLines, readLog } from './state-log.js'
import { readRow, wholeNumber } from './state-row.js'

/** The format that is written, and the newest that is known. */
const FORMAT = 2
const formatName = (format: number) => `canary-release registry ${format}`
/** What a reader must know at least, to read what is written here. */
const MIN_READER = 2

/** What is wrong with a text that should be a state, and where. */
export class StateFault extends Error {
  readonly place: TextPlace

  constructor(place: TextPlace, reason: string) {
    super(`line ${place.line}, column ${place.column}: ${reason}`)
    this.place = place
  }
}

/** A state as a file has it. Of one that was written by hand, the names in its position may be empty. */
export interface FileState extends StoredState {
  /** Oldest first. */
  readonly audit: readonly AuditEntry[]
  /** The last commits, oldest first: what a process missed that stands on an older version. */
  readonly log: readonly Commit[]
}

/** What was read from a file. */
export interface ReadState extends FileState {
  /**
   * `store`: as a store wrote it. `edited`: a store wrote it, and somebody changed it since. `unsigned`: that cannot be
   * told, of a file of format 1 and of one that was written by hand.
   */
  readonly origin: 'store' | 'edited' | 'unsigned'
  /** Written by a newer version, in a format that this one may read and cannot write. */
  readonly isNewer: boolean
}

/** A state as the text of a file: one entity a line, so that people and diffs can read it. */
export function writeState(state: FileState): string {
  return [...linesOf(state)].join('\n')
}

/** The lines of {@link writeState}, each made when it is asked for. */
export function* linesOf({ at, rows, audit, log }: FileState): Iterable<string> {
  const byKind = new Map<string, Row[]>(ENTITY_KINDS.map((kind) => [kind, []]))
  for (const row of rows) byKind.get(row.kind)?.push(row)
  const digest = new Digest(at)
  yield '{'
  yield `  "format": ${JSON.stringify(formatName(FORMAT))},`
  yield `  "min_reader": ${MIN_READER},`
  yield `  "version": ${at.version},`
  yield `  "epoch": ${JSON.stringify(at.epoch)},`
  yield `  "id": ${JSON.stringify(at.id)},`
  for (const [kind, list] of byKind) yield* listLines(kind, list, (row) => digest.add(JSON.stringify(fieldsOf(row))))
  yield* listLines('audit', audit, (entry) => JSON.stringify(entry))
  yield* listLines('log', logLines(log), (line) => digest.add(line))
  yield `  "digest": ${JSON.stringify(digest.end())}`
  yield '}'
  yield ''
}

function* listLines<Each>(name: string, list: readonly Each[], textOf: (each: Each) => string): Iterable<string> {
  if (list.length === 0) {
    yield `  "${name}": [],`
    return
  }
  yield `  "${name}": [`
  for (const [index, each] of list.entries()) yield `    ${textOf(each)}${index === list.length - 1 ? '' : ','}`
  yield '  ],'
}

function fieldsOf({ entity, release, revision }: Row): object {
  return { ...entity, ...(release === null ? {} : { release }), revision }
}

/** By this, an edit by hand is known. How the text is laid out does not count. */
class Digest {
  readonly #hash = createHash('sha256')

  constructor({ version, epoch, id }: Position) {
    this.add(JSON.stringify([version, epoch, id]))
  }

  /** @returns the same record */
  add(record: string): string {
    this.#hash.update(record).update('\n')
    return record
  }

  end(): string {
    return this.#hash.digest('hex').slice(0, 32)
  }
}

const words = z.string(says('expected a string'))

const list = z
  // Not z.record, which passes over __proto__: that is an unknown field like any other.
  .array(z.custom<Body>(isBody, { error: 'expected a record' }), says('expected an array'))
  .default([])

const headSchema = z.looseObject({
  format: z
    .string({ error: `expected ${JSON.stringify(formatName(FORMAT))}` })
    .regex(/^canary-release registry [1-9]\d{0,8}$/, { error: `expected ${JSON.stringify(formatName(FORMAT))}` })
    .transform((text) => Number(text.slice(text.lastIndexOf(' ') + 1))),
  min_reader: wholeNumber.optional(),
})

const fileSchema = z.strictObject({
  format: words,
  min_reader: wholeNumber.optional(),
  version: wholeNumber.min(1, { error: 'value should be at least 1' }),
  epoch: words.default(''),
  id: words.default(''),
  digest: words.optional(),
  services: list,
  routes: list,
  consumers: list,
  apis: list,
  keyauth_credentials: list,
  acls: list,
  plugins: list,
  audit: z
    .array(
      z.strictObject({
        version: wholeNumber,
        id: words.default(''),
        at: z.number(),
        by: words,
        what: words,
        changes: z.array(
          z.strictObject({
            kind: z.enum(ENTITY_KINDS),
            id: words,
            before: z.record(z.string(), z.unknown()).nullable(),
            after: z.record(z.string(), z.unknown()).nullable(),
          }),
        ),
        more: wholeNumber,
      }),
    )
    .default([]),
  log: z.array(z.unknown(), says('expected an array')).default([]),
})

/**
 * Reads a state from a text that anyone may have written: every row and every rule between rows is checked.
 *
 * @throws {StateFault} that names line and reason
 */
export function readState(text: string): ReadState {
  const fault = (path: readonly PropertyKey[], reason: string) =>
    new StateFault(jsonPlace(text, path.map(stepOf)), reason)
  const checked = <Output>(result: z.ZodSafeParseResult<Output>): Output => {
    if (result.success) return result.data
    const [issue] = result.error.issues
    const keys = issue?.code === 'unrecognized_keys' ? issue.keys : []
    const path = [...(issue?.path ?? []), ...keys]
    throw fault(path, `${path.map(String).join('.')}: ${keys.length > 0 ? 'unknown field' : issue?.message}`)
  }
  const given = parse(text)
  const { format, min_reader: needed = format } = checked(headSchema.safeParse(given))
  if (needed > FORMAT) {
    const what = `min_reader: the file needs a newer version of canary-release: this one reads formats up to ${FORMAT}, not ${needed}`
    throw fault(['format'], what)
  }
  const isNewer = format > FORMAT
  const file = checked((isNewer ? fileSchema.strip() : fileSchema).safeParse(given))
  const { version, epoch, id, digest, audit, log } = file
  const tables = new Tables()
  const found: { row: Row; path: readonly PropertyKey[] }[] = []
  for (const kind of ENTITY_KINDS) {
    for (const [index, fields] of file[kind].entries()) {
      const path = [kind, index]
      at(path, fault, () => {
        const row = readRow(kind, fields, version)
        if (tables.get(kind, row.entity.id) !== null) throw schemaViolation({ id: 'is the id of another one' })
        tables.put(row)
        found.push({ row, path })
      })
    }
  }
  for (const { row, path } of found) at(path, fault, () => checkReferences(row, tables))
  const position = { epoch, version, id }
  const actual = new Digest(position)
  for (const records of [...ENTITY_KINDS.map((kind) => file[kind]), log]) {
    for (const record of records) actual.add(JSON.stringify(record))
  }
  const isWhole = digest === actual.end()
  return {
    at: position,
    rows: found.map(({ row }) => row),
    audit,
    log: digest !== undefined ? readLog(log, audit, position) : [],
    origin: digest === undefined ? 'unsigned' : isWhole ? 'store' : 'edited',
    isNewer,
  }
}

function stepOf(key: PropertyKey): string | number {
  return typeof key === 'symbol' ? String(key) : key
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch (error) {
    const found = jsonFault(text)
    throw new StateFault(found?.place ?? { line: 1, column: 1 }, found?.reason ?? String(error))
  }
}

/** Names the place in the file of a violation. */
function at(
  path: readonly PropertyKey[],
  fault: (path: readonly PropertyKey[], reason: string) => Error,
  work: () => void,
): void {
  try {
    work()
  } catch (error) {
    if (!(error instanceof ViolationError)) throw error
    const [first] = Object.keys(error.violation.fields)
    throw fault(first === undefined ? path : [...path, first], `${path.map(String).join('.')}: ${error.message}`)
  }
}

function checkReferences({ kind, entity }: Row, tables: Tables): void {
  for (const to of referencesOf(kind, entity)) {
    if (tables.get(to.kind, to.id) === null) throw danglingReference(to.field, { id: to.id }, to.kind)
  }
}
