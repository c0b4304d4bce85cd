import { z } from 'zod'
import { type Body, isBody, parseEntity } from '../entities/body.js'
import { ENTITY_KINDS, type EntityKind } from '../entities/entities.js'
import { says } from '../entities/fields.js'
import { type TextPlace, jsonFault, jsonPlace } from './json-place.js'
import { referencesOf } from '../entities/keys.js'
import { checkRelease } from '../records/record-release.js'
import { type Row, isOf } from '../records/rows.js'
import type { AuditEntry, StoredState } from '../records/store.js'
import { RELEASE_STATES } from '../../release-state.js'
import { Tables } from '../records/tables.js'
import { ViolationError, danglingReference, schemaViolation } from '../entities/violation.js'

const FORMAT = 'canary-release registry 1'

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
}

/** A state as the text of a file: one entity a line, so that people and diffs can read it. */
export function writeState(state: FileState): string {
  return [...linesOf(state)].join('\n')
}

/** The lines of {@link writeState}, each made when it is asked for. */
export function* linesOf({ at: { epoch, version, id }, rows, audit }: FileState): Iterable<string> {
  const byKind = new Map<string, Row[]>(ENTITY_KINDS.map((kind) => [kind, []]))
  for (const row of rows) byKind.get(row.kind)?.push(row)
  yield '{'
  yield `  "format": ${JSON.stringify(FORMAT)},`
  yield `  "version": ${version},`
  yield `  "epoch": ${JSON.stringify(epoch)},`
  yield `  "id": ${JSON.stringify(id)},`
  for (const [kind, list] of byKind) yield* listLines(kind, list.map(fieldsOf), ',')
  yield* listLines('audit', audit, '')
  yield '}'
  yield ''
}

function* listLines(name: string, list: readonly object[], end: string): Iterable<string> {
  if (list.length === 0) {
    yield `  "${name}": []${end}`
    return
  }
  yield `  "${name}": [`
  for (const [index, each] of list.entries()) yield `    ${JSON.stringify(each)}${index === list.length - 1 ? '' : ','}`
  yield `  ]${end}`
}

function fieldsOf({ entity, release, revision }: Row): object {
  return { ...entity, ...(release === null ? {} : { release }), revision }
}

const integer = z.int(says('expected an integer')).min(0, { error: 'value should be at least 0' })
const finite = z.number(says('expected a number')).nullable()
const words = z.string(says('expected a string'))

const list = z
  // Not z.record, which passes over __proto__: that is an unknown field like any other.
  .array(z.custom<Body>(isBody, { error: 'expected a record' }), says('expected an array'))
  .default([])

const fileSchema = z.strictObject({
  format: z.literal(FORMAT, { error: `expected ${JSON.stringify(FORMAT)}` }),
  version: integer.min(1, { error: 'value should be at least 1' }),
  epoch: words.default(''),
  id: words.default(''),
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
        version: integer,
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
        more: integer,
      }),
    )
    .default([]),
})

const releaseSchema = z.strictObject({
  state: z.enum(RELEASE_STATES).exclude(['disabled']),
  reason: words.nullable(),
  by: words.nullable(),
  at: finite,
  elapsed: finite,
  // A whole number in files of the first versions.
  breach: z.literal(true, says('expected true')).optional(),
  run: z.union([words.min(1), integer.transform(String)], says('expected a string')).optional(),
})

/**
 * Reads a state from a text that anyone may have written: every row and every rule between rows is checked.
 *
 * @throws {StateFault} that names line and reason
 */
export function readState(text: string): FileState {
  const fault = (path: readonly PropertyKey[], reason: string) =>
    new StateFault(jsonPlace(text, path.map(stepOf)), reason)
  const file = fileSchema.safeParse(parse(text))
  if (!file.success) {
    const [issue] = file.error.issues
    const keys = issue?.code === 'unrecognized_keys' ? issue.keys : []
    const path = [...(issue?.path ?? []), ...keys]
    throw fault(path, `${path.map(String).join('.')}: ${keys.length > 0 ? 'unknown field' : issue?.message}`)
  }
  const { version, epoch, id, audit } = file.data
  const tables = new Tables()
  const found: { row: Row; path: readonly PropertyKey[] }[] = []
  for (const kind of ENTITY_KINDS) {
    for (const [index, fields] of file.data[kind].entries()) {
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
  return { at: { epoch, version, id }, rows: found.map(({ row }) => row), audit }
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

function readRow(kind: EntityKind, { revision, release, ...fields }: Body, version: number): Row {
  const number = integer.prefault(version).safeParse(revision)
  if (!number.success) throw schemaViolation({ revision: 'expected an integer' })
  const entity = parseEntity(kind, fields)
  if (kind !== 'plugins') {
    if (release !== undefined) throw schemaViolation({ release: 'unknown field' })
    return { kind, entity, revision: number.data, release: null }
  }
  const record = releaseSchema
    .prefault({ state: 'running', reason: null, by: null, at: null, elapsed: null })
    .safeParse(release)
  if (!record.success) throw schemaViolation({ release: record.error.issues[0]?.message ?? 'expected a record' })
  const row: Row = { kind, entity, revision: number.data, release: record.data }
  const refused = isOf(row, 'plugins') ? checkRelease(row.entity, Date.now) : null
  if (refused !== null) throw schemaViolation(refused)
  return row
}

function checkReferences({ kind, entity }: Row, tables: Tables): void {
  for (const to of referencesOf(kind, entity)) {
    if (tables.get(to.kind, to.id) === null) throw danglingReference(to.field, { id: to.id }, to.kind)
  }
}
