import { meantText, trimBlanks } from './wire-text.js'

/** The value of one cookie out of a `Cookie` header, without quotes, and not unescaped; `''` where it has none. The first of several counts. */
export function readCookie(header: string | undefined, name: string): string {
  if (header === undefined) return ''
  let from = 0
  while (from < header.length) {
    const found = header.indexOf(name, from)
    if (found === -1) return ''
    const equals = found + name.length
    if (header[equals] === '=' && startsPair(header, found)) {
      const semicolon = header.indexOf(';', equals)
      return cookieValue(header.slice(equals + 1, semicolon === -1 ? header.length : semicolon))
    }
    from = equals
  }
  return ''
}

function cookieValue(sent: string): string {
  const value = trimBlanks(sent)
  return meantText(value.length >= 2 && value.startsWith('"') && value.endsWith('"') ? value.slice(1, -1) : value)
}

function startsPair(header: string, at: number): boolean {
  let i = at - 1
  while (header[i] === ' ' || header[i] === '\t') i -= 1
  return i < 0 || header[i] === ';'
}
