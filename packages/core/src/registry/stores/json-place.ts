// Where something stands in a JSON text. By hand, and not jsonc-parser 3.3: its `parseTree` took 1.8 s and 576 MB for a place
// in 35 MB (this: 0.53 s, 40 MB), and both it and `visit` overflow the stack at 10 000 levels, where this refuses the 201st.
// Its `visit` is as fast, but keeps no path, and says `InvalidSymbol` for a missing value, a bad name and what follows the
// end alike: 10 of 28 broken texts.

/** A place in a text, both counted from 1. */
export interface TextPlace {
  readonly line: number
  readonly column: number
}

/** The places of offsets in a text. */
function placesAt(text: string, offsets: readonly number[]): TextPlace[] {
  const starts = [0]
  for (let at = text.indexOf('\n'); at !== -1; at = text.indexOf('\n', at + 1)) starts.push(at + 1)
  return offsets.map((offset) => {
    let line = 0
    for (let high = starts.length - 1; line < high;) {
      const middle = (line + high + 1) >>> 1
      if ((starts[middle] ?? 0) <= offset) line = middle
      else high = middle - 1
    }
    return { line: line + 1, column: offset - (starts[line] ?? 0) + 1 }
  })
}

/** Why a text is no JSON, and where: the messages of JSON.parse name a place only in some versions of Node. */
export function jsonFault(text: string): { readonly place: TextPlace; readonly reason: string } | null {
  const fault = new JsonScanner(text).run()
  if (fault === null) return null
  const [place = { line: 1, column: 1 }] = placesAt(text, [fault.offset])
  return { place, reason: fault.reason }
}

type Path = readonly (string | number)[]

/** Where the value at a path of a JSON text begins; the nearest one above it where there is none. */
export function jsonPlace(text: string, path: Path): TextPlace {
  const [place = { line: 1, column: 1 }] = jsonPlaces(text, [path])
  return place
}

/** The same for many paths, in one walk. */
export function jsonPlaces(text: string, paths: readonly Path[]): TextPlace[] {
  const root = newWanted()
  for (const path of paths) {
    let at = root
    for (const key of path) {
      const next = at.inner.get(key) ?? newWanted()
      at.inner.set(key, next)
      at = next
    }
  }
  new JsonScanner(text, root).run()
  return placesAt(
    text,
    paths.map((path) => offsetOf(root, path)),
  )
}

/** A value that is looked for, and what is looked for within it. */
interface Wanted {
  offset: number | null
  readonly inner: Map<string | number, Wanted>
}

const newWanted = (): Wanted => ({ offset: null, inner: new Map() })

function offsetOf(root: Wanted, path: Path): number {
  let found = root.offset ?? 0
  let at: Wanted | undefined = root
  for (const key of path) {
    at = at?.inner.get(key)
    found = at?.offset ?? found
  }
  return found
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
const ESCAPE = /\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4})/y
const [QUOTE, BACKSLASH, FIRST_PRINTABLE] = [0x22, 0x5c, 0x20]
const SCALAR = /-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?|true|false|null/y

/** Walks a JSON text without building its value. */
class JsonScanner {
  readonly #text: string
  readonly #wanted: Wanted | null
  #at = 0

  constructor(text: string, wanted: Wanted | null = null) {
    this.#text = text
    this.#wanted = wanted
  }

  run(): Fault | null {
    try {
      this.#value(0, this.#wanted)
      this.#skip(SPACE)
      if (this.#at < this.#text.length) this.#fail('nothing may follow the value')
      return null
    } catch (error) {
      if (error instanceof FaultFound) return error.fault
      throw error
    }
  }

  #value(depth: number, wanted: Wanted | null): void {
    this.#skip(SPACE)
    if (depth > MAX_DEPTH) this.#fail(`nested deeper than ${MAX_DEPTH} levels`)
    if (wanted !== null) wanted.offset = this.#at
    const next = this.#text[this.#at]
    if (next === '{') this.#members(depth, wanted, '}', () => this.#key())
    else if (next === '[') this.#members(depth, wanted, ']', (index) => index)
    else if ((next === '"' ? this.#string() : this.#skip(SCALAR)) === null) this.#fail('expected a value')
  }

  #members(depth: number, wanted: Wanted | null, close: string, keyOf: (index: number) => string | number): void {
    this.#at += 1
    this.#skip(SPACE)
    if (this.#text[this.#at] === close) {
      this.#at += 1
      return
    }
    for (let index = 0; ; index += 1) {
      const key = keyOf(index)
      this.#value(depth + 1, wanted?.inner.get(key) ?? null)
      this.#skip(SPACE)
      const next = this.#text[this.#at]
      if (next !== ',' && next !== close) this.#fail(`expected , or ${close}`)
      this.#at += 1
      if (next === close) return
    }
  }

  #key(): string {
    this.#skip(SPACE)
    const key = this.#text[this.#at] === '"' ? this.#string() : null
    if (key === null) this.#fail('expected a name in double quotes')
    this.#skip(SPACE)
    if (this.#text[this.#at] !== ':') this.#fail('expected :')
    this.#at += 1
    return String(JSON.parse(key ?? '""'))
  }

  /** A string with its quotes; `null` where it is none. A pattern of it all would need a stack as long as the string. */
  #string(): string | null {
    const text = this.#text
    const start = this.#at
    let at = start + 1
    while (at < text.length) {
      const code = text.charCodeAt(at)
      if (code === QUOTE) {
        this.#at = at + 1
        return text.slice(start, at + 1)
      }
      if (code < FIRST_PRINTABLE) return null
      if (code === BACKSLASH) {
        ESCAPE.lastIndex = at
        if (!ESCAPE.test(text)) return null
        at = ESCAPE.lastIndex
      } else at += 1
    }
    return null
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
