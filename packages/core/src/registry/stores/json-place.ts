/** A place in a text, both counted from 1. */
export interface TextPlace {
  readonly line: number
  readonly column: number
}

function placeAt(text: string, offset: number): TextPlace {
  const before = text.slice(0, offset)
  const start = before.lastIndexOf('\n') + 1
  return { line: before.split('\n').length, column: offset - start + 1 }
}

/** Why a text is no JSON, and where: the messages of JSON.parse name a place only in some versions of Node. */
export function jsonFault(text: string): { readonly place: TextPlace; readonly reason: string } | null {
  const scanner = new JsonScanner(text)
  const fault = scanner.run()
  return fault === null ? null : { place: placeAt(text, fault.offset), reason: fault.reason }
}

/** Where the value at a path of a JSON text begins; the text's beginning where there is none. */
export function jsonPlace(text: string, path: readonly (string | number)[]): TextPlace {
  const scanner = new JsonScanner(text, path)
  scanner.run()
  return placeAt(text, scanner.found ?? 0)
}

interface Fault {
  readonly offset: number
  readonly reason: string
}

class FaultFound extends Error {
  readonly fault: Fault

  constructor(fault: Fault) {
    super(fault.reason)
    this.fault = fault
  }
}

const MAX_DEPTH = 200
const SPACE = /[ \t\r\n]*/y
// JSON allows no control characters in strings.
// oxlint-disable-next-line no-control-regex
const STRING = /"(?:[^"\\\u0000-\u001f]|\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4}))*"/y
const SCALAR = /-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?|true|false|null/y

/** Walks a JSON text without building its value. */
class JsonScanner {
  found: number | null = null
  readonly #text: string
  readonly #wanted: readonly (string | number)[] | null
  #at = 0

  constructor(text: string, wanted: readonly (string | number)[] | null = null) {
    this.#text = text
    this.#wanted = wanted
  }

  run(): Fault | null {
    try {
      this.#value(0, true)
      this.#skip(SPACE)
      if (this.#at < this.#text.length) this.#fail('nothing may follow the value')
      return null
    } catch (error) {
      if (error instanceof FaultFound) return error.fault
      throw error
    }
  }

  /** @param onPath whether all that leads here is on the wanted path */
  #value(depth: number, onPath: boolean): void {
    this.#skip(SPACE)
    if (depth > MAX_DEPTH) this.#fail(`nested deeper than ${MAX_DEPTH} levels`)
    // The deepest place that is there is the nearest one to a place that is missing.
    if (onPath && this.#wanted !== null && depth <= this.#wanted.length) this.found = this.#at
    const next = this.#text[this.#at]
    if (next === '{') this.#members(depth, onPath, '}', () => this.#key())
    else if (next === '[') this.#members(depth, onPath, ']', (index) => index)
    else if (this.#skip(next === '"' ? STRING : SCALAR) === null) this.#fail('expected a value')
  }

  #members(depth: number, onPath: boolean, close: string, keyOf: (index: number) => string | number): void {
    this.#at += 1
    this.#skip(SPACE)
    if (this.#text[this.#at] === close) {
      this.#at += 1
      return
    }
    for (let index = 0; ; index += 1) {
      const key = keyOf(index)
      this.#value(depth + 1, onPath && this.#wanted !== null && this.#wanted[depth] === key)
      this.#skip(SPACE)
      const next = this.#text[this.#at]
      if (next !== ',' && next !== close) this.#fail(`expected , or ${close}`)
      this.#at += 1
      if (next === close) return
    }
  }

  #key(): string {
    this.#skip(SPACE)
    const key = this.#text[this.#at] === '"' ? this.#skip(STRING) : null
    if (key === null) this.#fail('expected a name in double quotes')
    this.#skip(SPACE)
    if (this.#text[this.#at] !== ':') this.#fail('expected :')
    this.#at += 1
    return String(JSON.parse(key ?? '""'))
  }

  #skip(pattern: RegExp): string | null {
    pattern.lastIndex = this.#at
    const [match] = pattern.exec(this.#text) ?? []
    if (match === undefined) return null
    this.#at += match.length
    return match
  }

  #fail(reason: string): never {
    const ended = this.#at >= this.#text.length
    throw new FaultFound({ offset: this.#at, reason: ended ? `${reason}, but the file ends` : reason })
  }
}
