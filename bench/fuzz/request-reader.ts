export interface ReadRequest {
  readonly method: string
  readonly target: string
  /** The protocol that it asks for; `null` for an ordinary request. */
  readonly upgrade: string | null
}

const LINE = /^([!#$%&'*+.^_`|~0-9A-Za-z-]+) (\/[\u0021\u0022\u0024-\u007e\u0080-\u00ff]*) HTTP\/1\.1$/
const HEADER = /^([!#$%&'*+.^_`|~0-9A-Za-z-]+): ?([\t\u0020-\u007e\u0080-\u00ff]*)$/
const CHUNK = /^[0-9A-Fa-f]{1,8}$/

/**
 * Reads the requests of one connection by the letter of RFC 9112: one way to read each, no leniency.
 *
 * A request may only begin when the answer to the one before has gone out, so whatever stands behind a whole request is
 * a fault too.
 */
export class RequestReader {
  /** All that came since the last whole request. */
  text = ''
  #rest = ''

  /** The request that is whole now; `null` while one is not. @throws what is wrong with it */
  read(piece: string): ReadRequest | null {
    this.text += piece
    const end = this.text.indexOf('\r\n\r\n')
    if (end === -1) {
      if (/[^\r]\n|\r[^\n]/.test(this.text)) throw new SyntaxError('a line ends in half a line break')
      return null
    }
    const [line = '', ...lines] = this.text.slice(0, end).split('\r\n')
    const [, method, target] = LINE.exec(line) ?? []
    if (method === undefined || target === undefined) throw new SyntaxError('a bad request line')
    const headers = readHeaders(lines)
    const upgrade = headers.get('upgrade') ?? null
    const body = this.text.slice(end + 4)
    const length = upgrade !== null ? 0 : bodyLength(headers, body)
    if (length === null) return null
    this.#rest = body.slice(length)
    if (upgrade === null && this.#rest !== '') throw new SyntaxError('bytes behind a whole request')
    this.text = ''
    return { method, target, upgrade }
  }

  /** What came behind an upgrade. */
  rest(): string {
    return this.#rest
  }
}

function readHeaders(lines: readonly string[]): Map<string, string> {
  const headers = new Map<string, string>()
  for (const line of lines) {
    const [, name, value] = HEADER.exec(line) ?? []
    if (name === undefined || value === undefined) throw new SyntaxError('a bad header line')
    const key = name.toLowerCase()
    if (['host', 'content-length', 'transfer-encoding', 'upgrade'].includes(key) && headers.has(key))
      throw new SyntaxError(`${key} twice`)
    headers.set(key, value)
  }
  if (!/^127\.0\.0\.1:\d+$/.test(headers.get('host') ?? '')) throw new SyntaxError('not the upstream’s host')
  return headers
}

/** The length of the whole body in `text`; `null` while it is not whole. */
function bodyLength(headers: ReadonlyMap<string, string>, text: string): number | null {
  const coding = headers.get('transfer-encoding')
  const length = headers.get('content-length')
  if (coding !== undefined && length !== undefined) throw new SyntaxError('two framings')
  if (coding !== undefined) {
    if (coding !== 'chunked') throw new SyntaxError('another coding than chunked')
    return chunkedLength(text)
  }
  if (length === undefined) return 0
  if (!/^\d{1,15}$/.test(length)) throw new SyntaxError('a bad content-length')
  return text.length < Number(length) ? null : Number(length)
}

function chunkedLength(text: string): number | null {
  let at = 0
  for (;;) {
    const end = text.indexOf('\r\n', at)
    if (end === -1) return null
    const size = text.slice(at, end)
    if (!CHUNK.test(size)) throw new SyntaxError('a bad chunk')
    const bytes = Number.parseInt(size, 16)
    const after = end + 2 + bytes
    if (bytes === 0) return trailerEnd(text, end + 2)
    if (text.length < after + 2) return null
    if (text.slice(after, after + 2) !== '\r\n') throw new SyntaxError('a chunk that ends in something else')
    at = after + 2
  }
}

function trailerEnd(text: string, from: number): number | null {
  let at = from
  for (;;) {
    const end = text.indexOf('\r\n', at)
    if (end === -1) return null
    if (end === at) return end + 2
    if (!HEADER.test(text.slice(at, end))) throw new SyntaxError('a bad trailer')
    at = end + 2
  }
}
