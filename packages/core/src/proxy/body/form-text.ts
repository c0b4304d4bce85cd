import { Inexact } from './inexact.js'

type Field = readonly [name: string, value: string | readonly string[]]
/** What follows the name of a list's item, the brackets as they are or escaped. */
type ListStyle = (index: number, escaped: boolean) => string

/** `a=1&a=2`, `a[]=1&a[]=2` and `a[0]=1&a[1]=2`: not every reader takes each of them for a list. */
const LIST_STYLES: readonly ListStyle[] = [
  () => '',
  (_index, escaped) => (escaped ? '%5B%5D' : '[]'),
  (index, escaped) => (escaped ? `%5B${index}%5D` : `[${index}]`),
]
const BRACKETS = [false, true]

type Encoding = (text: string, isName: boolean) => string

const plus = (text: string) => text.replaceAll('%20', '+')
const escape = (character: string) => `%${character.charCodeAt(0).toString(16).toUpperCase()}`
const component = (text: string) => encodeURIComponent(text)
const strict = (text: string) => component(text).replaceAll(/[!'()*]/g, escape)
const everything = (text: string) => strict(text).replaceAll('~', '%7E')
/** Nothing but what must be, as people write by hand. */
const least: Encoding = (text, isName) => text.replaceAll(isName ? /[%&+=]/g : /[%&+]/g, escape).replaceAll(' ', '+')
/** Even a percent sign, where nobody could take it for an escape. */
const shortest: Encoding = (text, isName) =>
  text.replaceAll(isName ? /[&+=]|%(?=[\da-f]{2})/gi : /[&+]|%(?=[\da-f]{2})/gi, escape)

/** As browsers and libraries write the same text. */
const ENCODINGS: readonly Encoding[] = [
  (text) => plus(component(text).replaceAll(/[!'()~]/g, escape)),
  component,
  (text) => plus(component(text)),
  strict,
  (text) => plus(strict(text)),
  (text) => plus(everything(text)),
  least,
]

/**
 * What a form parser left, as a form again: written in the way that has the length that came.
 *
 * @throws {Inexact} where there is none, where its lists may have been meant in two ways, or where it does not say what
 *   came
 */
export function formText(parsed: unknown, length: number | null): string {
  const fields = fieldsOf(parsed)
  if (length === null) return refuse('its length is not known, which tells in what way a form was written')
  const styles = stylesOf(fields).filter((style) => mayHaveLength(fields, style, length))
  const [style] = styles
  if (styles.length > 1) return refuse('two ways of writing its lists may have the length that came')
  const text = style === undefined ? null : writtenAs(fields, style, length)
  return text ?? refuse('no way of writing it as a form has the length that came')
}

/** Brackets that are in a list's name still were none to its parser. */
function stylesOf(fields: readonly Field[]): readonly ListStyle[] {
  const lists = fields.filter(([, value]) => typeof value !== 'string')
  return lists.length === 0 || lists.some(([name]) => name.endsWith(']')) ? LIST_STYLES.slice(0, 1) : LIST_STYLES
}

/** Whether a form of this length can have been written so, each character escaped or not: an escape has two more. */
function mayHaveLength(fields: readonly Field[], style: ListStyle, length: number): boolean {
  return BRACKETS.some((escaped) => {
    const least = Buffer.byteLength(written(fields, shortest, style, escaped))
    const most = written(fields, everything, style, escaped).length
    return length >= least && length <= most && (length - least) % 2 === 0
  })
}

function writtenAs(fields: readonly Field[], style: ListStyle, length: number): string | null {
  for (const encode of ENCODINGS) {
    for (const escaped of BRACKETS) {
      const text = written(fields, encode, style, escaped)
      if (Buffer.byteLength(text) === length) return text
    }
  }
  return null
}

function written(fields: readonly Field[], encode: Encoding, style: ListStyle, escaped: boolean): string {
  const pairs: string[] = []
  for (const [name, value] of fields) {
    const start = encode(name, true)
    if (typeof value === 'string') pairs.push(`${start}=${encode(value, false)}`)
    else for (const [i, item] of value.entries()) pairs.push(`${start}${style(i, escaped)}=${encode(item, false)}`)
  }
  return pairs.join('&')
}

function fieldsOf(parsed: unknown): Field[] {
  if (typeof parsed !== 'object' || parsed === null) return refuse('it is no form any more')
  return Object.entries(parsed).map(([name, value]: [string, unknown]) => [nameOf(name), valueOf(value)])
}

/** Parsers make numbers of `[]=` and `[0]=`. */
function nameOf(name: string): string {
  return /^\d+$/.test(name) ? refuse('it has names that may be places in a list') : checked(name)
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
