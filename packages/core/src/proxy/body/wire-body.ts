import type { RawRequest } from '../../node-http.js'

/** What a request's head says of its body, as it stood on the wire. */
export interface WireBody {
  /** In bytes; `null` where it came in chunks. */
  readonly length: number | null
  /** It has a content-encoding. */
  readonly coded: boolean
  /** The media type in lower case, without parameters. */
  readonly type: string
  /** In lower case; `null` where none is named. */
  readonly charset: string | null
  /** Something in the head speaks of its very bytes. */
  readonly digested: boolean
}

const DIGESTS: ReadonlySet<string> = new Set([
  'content-md5',
  'content-digest',
  'repr-digest',
  'digest',
  'signature-input',
])

/** From the raw headers, which are what is sent: middlewares that decode a body take its coding out of the others. */
export function wireBody({ rawHeaders }: RawRequest): WireBody {
  let length: number | null = null
  let coded = false
  let digested = false
  let contentType = ''
  for (let i = 0; i + 1 < rawHeaders.length; i += 2) {
    const name = (rawHeaders[i] ?? '').toLowerCase()
    const value = rawHeaders[i + 1] ?? ''
    if (name === 'content-length') length = Number(value)
    else if (name === 'content-encoding') coded ||= !UNCODED.has(value.trim().toLowerCase())
    else if (name === 'content-type') contentType ||= value
    else if (DIGESTS.has(name)) digested = true
  }
  const type = (contentType.split(';', 1)[0] ?? '').trim().toLowerCase()
  return { length, coded, type, charset: charsetOf(contentType), digested }
}

const UNCODED: ReadonlySet<string> = new Set(['', 'identity'])

/** Two that differ are no charset that anybody knows. */
function charsetOf(type: string): string | null {
  const named = new Set<string>()
  for (const [, name = ''] of type.matchAll(/;\s*charset\s*=\s*"?([^\s";]*)"?/gi)) named.add(name.toLowerCase())
  return named.size === 0 ? null : [...named].join(' ')
}

const UTF8 = /^(?:utf-?8|unicode-1-1-utf-8)$/
/** Charsets in which the characters of ASCII are the bytes of ASCII, and nothing else is. */
const OVER_ASCII =
  /^(?:us-ascii|ascii|latin-?[1-9]|iso-?8859-\d{1,2}|(?:windows|cp)-?(?:125\d|874)|koi8-[ru]|gbk|gb2312|gb18030|big5|euc-(?:jp|kr|tw)|shift[-_]jis)$/

/** Whether text that is written in UTF-8 has the bytes that the charset of the head would give it. */
export function isWrittenAlike(text: string, charset: string | null): boolean {
  return charset === null || UTF8.test(charset) || (OVER_ASCII.test(charset) && Buffer.byteLength(text) === text.length)
}
