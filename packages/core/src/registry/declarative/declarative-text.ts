import { LineCounter, parseDocument } from 'yaml'
import { type TextPlace, jsonFault, jsonPlaces } from '../stores/json-place.js'
import { type Path, declarativeError } from './declarative-fault.js'
import { createNodeFinder, nodeFault } from './yaml-nodes.js'

/** A text as a value, with where its parts are. */
export interface DeclarativeText {
  readonly value: unknown
  /** Where what is at each path begins; the nearest place above it for what is not there. */
  places(paths: readonly Path[]): readonly TextPlace[]
}

type Format = 'yaml' | 'json'

/** Reading holds up the process: what would take seconds is refused before it is read. */
const MAX_LENGTH = 4 * 1024 * 1024
const MAX_VALUES = { yaml: 50_000, json: 100_000 } as const

const BEGINNING: TextPlace = { line: 1, column: 1 }

/** @throws {CanaryError} ERR_CANARY_OPTION where the text cannot be read */
export function readDeclarativeText(text: string, given: Format | undefined): DeclarativeText {
  if (text.length > MAX_LENGTH) throw fault(BEGINNING, `longer than ${MAX_LENGTH} characters`)
  const format = given ?? (/^\s*\{/.test(text) ? 'json' : 'yaml')
  const values = MAX_VALUES[format]
  if (mayHoldMore(text, format, values)) throw fault(BEGINNING, `more than ${values} values`)
  return format === 'json' ? readJson(text) : readYaml(text)
}

function fault(place: TextPlace, reason: string) {
  return declarativeError([{ place, path: [], reason }])
}

const [LINE, SPACE, COMMA, DASH, QUESTION, BRACKET, BRACE] = ['\n', ' ', ',', '-', '?', '[', '{'].map((character) =>
  character.charCodeAt(0),
)

/** Counts what values begin with: there are no more of them than that. */
function mayHoldMore(text: string, format: Format, limit: number): boolean {
  let count = 0
  for (let at = 0; at < text.length && count <= limit; at += 1) {
    const code = text.charCodeAt(at)
    if (code === COMMA || code === BRACKET || code === BRACE) count += 1
    else if (format === 'yaml') {
      if (code === LINE) count += 1
      // A list within a list, or a key of several lines, needs no line of its own.
      else if ((code === DASH || code === QUESTION) && text.charCodeAt(at + 1) === SPACE) count += 1
    }
  }
  return count > limit
}

function readJson(text: string): DeclarativeText {
  const wrong = jsonFault(text)
  if (wrong !== null) throw fault(wrong.place, wrong.reason)
  return { value: JSON.parse(text), places: (paths) => jsonPlaces(text, paths) }
}

function readYaml(text: string): DeclarativeText {
  const counter = new LineCounter()
  const placeOf = (offset: number): TextPlace => {
    const { line, col } = counter.linePos(offset)
    return { line: Math.max(1, line), column: Math.max(1, col) }
  }
  const document = compose(text, counter)
  const problems = [...document.errors, ...document.warnings]
  if (problems.length > 0) {
    throw declarativeError(problems.map(({ pos, message }) => ({ place: placeOf(pos[0]), path: [], reason: message })))
  }
  const wrong = nodeFault(document.contents)
  if (wrong !== null) throw fault(placeOf(wrong.offset), wrong.reason)
  const offsetAt = createNodeFinder(document.contents)
  return {
    value: withoutThrowing(() => document.toJS({ maxAliasCount: -1 })),
    places: (paths) => paths.map((path) => placeOf(offsetAt(path))),
  }
}

/** Keys are checked for being unique afterwards: the library compares each with all others. */
function compose(text: string, lineCounter: LineCounter) {
  return withoutThrowing(() =>
    parseDocument(text, { lineCounter, version: '1.2', merge: true, uniqueKeys: false, prettyErrors: false }),
  )
}

/** Hostile texts, nested too deep for the stack, make the library throw. */
function withoutThrowing<Result>(work: () => Result): Result {
  try {
    return work()
  } catch (error) {
    throw fault(BEGINNING, error instanceof Error ? error.message : String(error))
  }
}
