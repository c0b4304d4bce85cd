import { Inexact } from './inexact.js'

type Field = readonly [name: string, value: string | readonly string[]]
/** What follows the name of a list's item; the brackets as they are, or escaped. */
type ListStyle = (index: number, escaped: boolean) => string

/** `a=1&a=2`, `a[]=1&a[]=2` and `a[0]=1&a[1]=2`: who reads them otherwise than they were meant reads something else. */
const LIST_STYLES: readonly ListStyle[] = [
  () => '',
  (_index, escaped) => (escaped ? '%5B%5D' : '[]'),
  (index, escaped) => (escaped ? `%5B${index}%5D` : `[${index}]`),
]
const BRACKETS = [false, true]

const plus = (text: string) => text.replaceAll('%20', '+')
const escape = (character: string) => `%${character.charCodeAt(0).toString(16).toUpperCase()}`
const component = (text: string) => encodeURIComponent(text)
const strict = (text: string) => component(text).replaceAll(/[!'()*]/g, escape)

/** As browsers and libraries write the same text; the last escapes only what must be, as people do by hand. */
const ENCODINGS: readonly ((text: string, isName: boolean) => string)[] = [
  (text) => plus(component(text).replaceAll(/[!'()~]/g, escape)),
  component,
  (text) => plus(component(text)),
  strict,
  (text) => plus(strict(text)),
  (text) => plus(strict(text)).replaceAll('~', '%7E'),
  (text, isName) => text.replaceAll(isName ? /[%&+=]/g : /[%&+]/g, escape).replaceAll(' ', '+'),
]

/**
 * What a form parser left, as a form again: the way of writing it that has the length that came. Ways that mean the
 * same are as good as each other.
 *
 * @throws {Inexact} where none has, several that mean different things have, or it does not say what came
 */
export function formText(parsed: unknown, length: number | null): string {
  const fields = fieldsOf(parsed)
  if (length === null) return refuse('its length is not known, which tells in what way a form was written')
  const hasLists = fields.some(([, value]) => typeof value !== 'string')
  const found = (hasLists ? LIST_STYLES : LIST_STYLES.slice(0, 1)).flatMap((style) => {
    const text = writtenAs(fields, style, hasLists, length)
    return text === null ? [] : [text]
  })
  const [text] = found
  if (text === undefined) return refuse('no way of writing it as a form has the length that came')
  return found.length === 1 ? text : refuse('two ways of writing its lists have the length that came')
}

function writtenAs(fields: readonly Field[], style: ListStyle, hasLists: boolean, length: number): string | null {
  for (const encode of ENCODINGS) {
    for (const escaped of hasLists ? BRACKETS : BRACKETS.slice(0, 1)) {
      const text = fields.flatMap((field) => pairs(field, encode, (index) => style(index, escaped))).join('&')
      if (Buffer.byteLength(text) === length) return text
    }
  }
  return null
}

function pairs(
  [name, value]: Field,
  encode: (text: string, isName: boolean) => string,
  suffix: (index: number) => string,
): string[] {
  const start = encode(name, true)
  if (typeof value === 'string') return [`${start}=${encode(value, false)}`]
  return value.map((item, index) => `${start}${suffix(index)}=${encode(item, false)}`)
}

function fieldsOf(parsed: unknown): Field[] {
  if (typeof parsed !== 'object' || parsed === null) return refuse('it is no form any more')
  return Object.entries(parsed).map(([name, value]: [string, unknown]) => [checked(name), valueOf(value)])
}

function valueOf(value: unknown): string | readonly string[] {
  if (typeof value === 'string') return checked(value)
  if (!Array.isArray(value) || value.length === 0)
    return refuse('it has fields that are neither text nor lists of text')
  return value.map((item: unknown) =>
    typeof item === 'string' ? checked(item) : refuse('it has fields that are neither text nor lists of text'),
  )
}

/** Parsers leave escapes that are no UTF-8 as they stand: sent on, they would be escaped twice. */
function checked(text: string): string {
  if (!/%[\da-f]{2}/i.test(text)) return text
  try {
    decodeURIComponent(text)
    return text
  } catch {
    return refuse('it has escapes that are no UTF-8')
  }
}

function refuse(reason: string): never {
  throw new Inexact(reason)
}
