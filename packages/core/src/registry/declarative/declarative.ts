import { DraftedChange } from '../change/drafted-change.js'
import type { DeclaredRecords } from '../change/declared.js'
import { type Body, isBody } from '../entities/body.js'
import { type FieldMessages, type Violation, ViolationError } from '../entities/violation.js'
import { Tables } from '../records/tables.js'
import { CanaryError } from '../../errors.js'
import { type Path, declarativeError } from './declarative-fault.js'
import { DeclarativeReader, type Placed, type Remark } from './declarative-reader.js'
import { type DeclarativeText, readDeclarativeText } from './declarative-text.js'
import { RecordNames } from './record-names.js'

/** A declarative file, read and checked. */
export interface Declarative extends DeclaredRecords {
  /** What was passed over, in the order of lines; empty unless {@link DeclarativeOptions.otherPlugins} is `skip`. */
  readonly skipped: readonly Skipped[]
}

/** Something of a file that is nothing here: another plugin, a field of Kong's, a canary on a consumer group … */
export interface Skipped {
  /** The line in the file, from 1. */
  readonly line: number
  /** The place in the file: `services.0.plugins.1.name`. */
  readonly path: string
  /** Why it is passed over. */
  readonly reason: string
}

/** The options of `parseDeclarative`. */
export interface DeclarativeOptions {
  /**
   * The syntax of the text.
   *
   * @default 'json' if the text begins with `{`, else 'yaml'
   */
  readonly format?: 'yaml' | 'json' | undefined
  /**
   * What is done about other plugins, other credentials and what else Kong keeps: `skip` lists it in
   * {@link Declarative.skipped}, `refuse` throws.
   *
   * @default 'refuse'
   */
  readonly otherPlugins?: 'refuse' | 'skip' | undefined
}

/** Reads a file at once, and checks all of it. @throws {CanaryError} ERR_CANARY_OPTION with each fault */
export function readDeclarative(text: string, { otherPlugins = 'refuse', format }: DeclarativeOptions): Declarative {
  const source = readDeclarativeText(text, format)
  const { bodies, faults, skipped } = new DeclarativeReader(source.value, otherPlugins)
  const wrong = [...faults, ...faultsOf(bodies)]
  if (wrong.length > 0) throw declarativeError(placed(source, wrong))
  return {
    bodies: bodies.map(({ kind, body, idIsDerived }) => ({ kind, body, idIsDerived })),
    skipped: placed(source, skipped).map(({ place: { line }, path, reason }) => ({
      line,
      path: path.join('.'),
      reason,
    })),
  }
}

/** Remarks with their places, in the order in which they stand in the file. */
function placed(source: DeclarativeText, remarks: readonly Remark[]) {
  const places = source.places(remarks.map(({ path }) => path))
  return remarks
    .map((remark, index) => ({ ...remark, place: places[index] ?? { line: 1, column: 1 } }))
    .sort((a, b) => a.place.line - b.place.line || a.place.column - b.place.column)
}

/** Creates everything once, in nothing, so that all that is wrong is found. */
function faultsOf(bodies: readonly Placed[]): Remark[] {
  const draft = new DraftedChange(new Tables(), { id: '', by: 'check', version: 1, clock: Date.now })
  const refused = new RecordNames()
  const faults: Remark[] = []
  for (const { kind, body, path } of bodies) {
    try {
      draft.create(kind, body)
    } catch (error) {
      const isDangling = error instanceof ViolationError && error.violation.code === 4
      // Who refers to a record that was refused is not at fault.
      if (!(isDangling && refused.referredBy(kind, body) !== null)) faults.push(...remarksOf(error, path, body))
      refused.add(kind, body)
    }
  }
  return faults
}

function remarksOf(error: unknown, path: Path, body: Body): Remark[] {
  if (!(error instanceof CanaryError)) throw error
  if (!(error instanceof ViolationError)) return [{ path, reason: error.message }]
  const { violation } = error
  if (violation.code === 2) {
    return leavesOf(violation.fields).map(([field, reason]) => ({ path: [...path, ...field], reason }))
  }
  const field = leavesOf(violation.fields).find(([names]) => isThere(body, names))?.[0] ?? []
  return [{ path: [...path, ...field], reason: violation.message }]
}

/** Each message with the field that it is about. */
function leavesOf(fields: Violation['fields'], within: Path = []): (readonly [field: Path, message: string])[] {
  return Object.entries(fields).flatMap(([name, message]) => {
    if (isNested(message)) return leavesOf(message, [...within, name])
    const messages = Array.isArray(message) ? message : [message]
    return messages.map((each) => [name === '@entity' ? within : [...within, stepOf(name)], String(each)] as const)
  })
}

function isNested(message: FieldMessages[string]): message is FieldMessages {
  return isBody(message)
}

/** Elements of lists are counted from 1 in messages, and from 0 in paths. */
function stepOf(name: string): string | number {
  return /^[1-9]\d*$/.test(name) ? Number(name) - 1 : name
}

function isThere(body: Body, field: Path): boolean {
  let at: unknown = body
  for (const name of field) {
    if (!isBody(at) || !Object.hasOwn(at, name)) return false
    at = at[name]
  }
  return true
}
