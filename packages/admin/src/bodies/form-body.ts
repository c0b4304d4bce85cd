import { type JsonSchema, allowsOnlyLists, itemsOf, propertyOf, typesOf } from '../schemas/json-schema.js'
import { badForm, tooManyFields } from '../refusal.js'

/** A form's fields, in the order in which they came. */
export type FormField = readonly [name: string, value: string]

const MAX_DEPTH = 8
/** How many fields a form may have. */
export const MAX_FIELDS = 1000
/** One more than a list may have, so that the list is refused as too long and not made. */
const MAX_PARTS = 1001

/** What was said under one name. */
interface Said {
  readonly values: { readonly index: number; readonly text: string }[]
  list: boolean
}

type Tree = Map<string, Said | Tree>

/**
 * The record that a form describes, as Kong reads it: `config.percentage=10` nests, `config.groups[]=a` and
 * `config.groups[1]=a` make lists, an empty string is null, numbers and booleans are inferred where the schema has
 * them. Where it has a list, a plain value is one of its commas' parts.
 *
 * @throws {Refusal} 400 where names nest without end, or there are too many
 */
export function decodeForm(fields: Iterable<FormField>, schema: JsonSchema | undefined): Record<string, unknown> {
  const tree: Tree = new Map()
  let count = 0
  for (const [name, value] of fields) {
    count += 1
    if (count > MAX_FIELDS) throw tooManyFields()
    put(tree, name, value)
  }
  return recordOf(tree, schema)
}

function put(tree: Tree, name: string, text: string): void {
  const [, path = name, position] = /^(.+?)\[(\d{0,9})\]$/s.exec(name) ?? []
  const names = path.split('.', MAX_DEPTH + 1)
  if (names.length > MAX_DEPTH) throw badForm()
  const last = names.pop() ?? ''
  let at = tree
  for (const step of names) at = branch(at, step)
  const present = at.get(last)
  const said: Said = present === undefined || present instanceof Map ? { values: [], list: false } : present
  said.values.push({ index: position ? Number(position) : said.values.length + 1, text })
  said.list ||= position !== undefined
  at.set(last, said)
}

function branch(tree: Tree, name: string): Tree {
  const present = tree.get(name)
  if (present instanceof Map) return present
  const fresh: Tree = new Map()
  tree.set(name, fresh)
  return fresh
}

function recordOf(tree: Tree, schema: JsonSchema | undefined): Record<string, unknown> {
  // fromEntries makes a plain property also of `__proto__`.
  return Object.fromEntries(
    [...tree].map(([name, value]) => {
      const expected = propertyOf(schema, name)
      return [name, value instanceof Map ? recordOf(value, expected) : valueOf(value, expected)]
    }),
  )
}

function valueOf({ values, list }: Said, expected: JsonSchema | undefined): unknown {
  const texts = values.toSorted((a, b) => a.index - b.index).map(({ text }) => text)
  const [text = ''] = texts
  if (!list && texts.length === 1) {
    if (text === '' || !allowsOnlyLists(expected)) return scalarOf(text, expected)
    return listOf(
      text.split(',', MAX_PARTS).map((part) => part.trim()),
      expected,
    )
  }
  return listOf(texts, expected)
}

function listOf(texts: readonly string[], expected: JsonSchema | undefined): unknown[] {
  return texts.filter((text) => text !== '').map((text) => scalarOf(text, itemsOf(expected)))
}

function scalarOf(text: string, expected: JsonSchema | undefined): unknown {
  if (text === '') return null
  const types = typesOf(expected)
  if ((types.has('number') || types.has('integer')) && /^[+-]?\d+(?:\.\d+)?(?:e[+-]?\d+)?$/i.test(text)) {
    return Number(text)
  }
  return types.has('boolean') && (text === 'true' || text === 'false') ? text === 'true' : text
}

/** The fields of a form that a parser of the host has read: nested or not, whichever parser it was. */
export function* fieldsOf(parsed: object, prefix = '', depth = 0): Iterable<FormField> {
  if (depth > MAX_DEPTH) throw badForm()
  const separator = prefix === '' ? '' : '.'
  for (const [key, value] of Object.entries(parsed)) {
    const name = Array.isArray(parsed) ? bracketed(prefix) : `${prefix}${separator}${key}`
    if (typeof value === 'object' && value !== null) yield* fieldsOf(value, name, depth + 1)
    else yield [name, value === null || value === undefined ? '' : String(value)]
  }
}

/** A parser that knows no brackets has left them on the name. */
function bracketed(name: string): string {
  return /\[\d*\]$/.test(name) ? name : `${name}[]`
}
