/**
 * Reads one parameter of an RFC 7239 `Forwarded` header in order, `''` for an element without it; `null` where the
 * header breaks the grammar: half of a forged header is no better than all of it. One pass, no backtracking.
 */
export function forwardedValues(header: string, name: 'for' | 'proto'): string[] | null {
  const entries: string[] = []
  let at = 0
  for (;;) {
    let entry = ''
    for (;;) {
      const pair = readPair(header, skipSpace(header, at))
      if (pair === null) return null
      if (pair.name === name) entry = pair.value
      at = skipSpace(header, pair.end)
      if (header[at] !== ';') break
      at += 1
    }
    entries.push(entry)
    if (at === header.length) return entries
    if (header[at] !== ',') return null
    at += 1
  }
}

interface Pair {
  readonly name: string
  readonly value: string
  readonly end: number
}

function readPair(header: string, from: number): Pair | null {
  const equals = tokenEnd(header, from)
  if (equals === from || header[equals] !== '=') return null
  const name = header.slice(from, equals).toLowerCase()
  if (header[equals + 1] !== '"') {
    // Unquoted IPv6 breaks the grammar, but brackets and colons are seen often enough to be taken.
    const end = valueEnd(header, equals + 1)
    return end === equals + 1 ? null : { name, value: header.slice(equals + 1, end), end }
  }
  let value = ''
  for (let i = equals + 2; i < header.length; i += 1) {
    if (header[i] === '"') return { name, value, end: i + 1 }
    if (header[i] === '\\') i += 1
    value += header[i] ?? ''
  }
  return null
}

function tokenEnd(header: string, from: number): number {
  let i = from
  while (i < header.length && /[!#$%&'*+.^_`|~0-9A-Za-z-]/.test(header.charAt(i))) i += 1
  return i
}

function valueEnd(header: string, from: number): number {
  let i = from
  while (i < header.length && !/[\s;,"\\]/.test(header.charAt(i))) i += 1
  return i
}

function skipSpace(header: string, from: number): number {
  let i = from
  while (header[i] === ' ' || header[i] === '\t') i += 1
  return i
}
