/** Reads addresses as text: no lookups, no sockets. */

const IPV4 = /^(?:25[0-5]|2[0-4]\d|1\d\d|[1-9]?\d)(?:\.(?:25[0-5]|2[0-4]\d|1\d\d|[1-9]?\d)){3}$/
const ZONE = /^%[0-9a-z.:-]{1,32}$/i
const COLON = 58
const DOT = 46

export function isIpv4(text: string): boolean {
  return text.length <= 15 && IPV4.test(text)
}

/** The eight 16-bit groups of an IPv6 address without its zone, or `null` where the text is none. */
export function parseIpv6(text: string): number[] | null {
  if (text.length < 2 || text.length > 78) return null
  const zone = text.indexOf('%')
  if (zone !== -1 && !ZONE.test(text.slice(zone))) return null
  const end = zone === -1 ? text.length : zone
  const groups: number[] = []
  let gap = text.startsWith('::') ? 0 : -1
  let i = gap === 0 ? 2 : 0
  while (i < end) {
    const from = i
    let group = 0
    for (let digit = hexDigit(text.charCodeAt(i)); digit !== -1 && i < end; digit = hexDigit(text.charCodeAt(i))) {
      group = (group << 4) | digit
      i += 1
      if (i - from > 4) return null
    }
    if (i === from) return null
    if (i < end && text.charCodeAt(i) === DOT) return spread(groups, gap, ipv4Groups(text.slice(from, end)))
    groups.push(group)
    if (i === end) break
    if (text.charCodeAt(i) !== COLON) return null
    i += 1
    if (i === end) return null
    if (text.charCodeAt(i) === COLON) {
      if (gap !== -1) return null
      gap = groups.length
      i += 1
    }
  }
  return spread(groups, gap, [])
}

/** All eight groups, with zeros where the gap `::` was (−1: nowhere). */
function spread(groups: number[], gap: number, last: readonly number[] | null): number[] | null {
  if (last === null) return null
  groups.push(...last)
  const missing = 8 - groups.length
  if (gap === -1) return missing === 0 ? groups : null
  if (missing < 1) return null
  for (let n = 0; n < missing; n += 1) groups.splice(gap, 0, 0)
  return groups
}

function hexDigit(code: number): number {
  if (code >= 48 && code <= 57) return code - 48
  const lower = code | 32
  return lower >= 97 && lower <= 102 ? lower - 87 : -1
}

function ipv4Groups(text: string): number[] | null {
  if (!isIpv4(text)) return null
  const [a = 0, b = 0, c = 0, d = 0] = text.split('.').map(Number)
  return [(a << 8) | b, (c << 8) | d]
}

/** The IPv4 address inside an IPv4-mapped IPv6 address (`::ffff:203.0.113.9`), or `null`. */
function mappedIpv4(groups: readonly number[]): string | null {
  const [a, b, c, d, e, f, high = 0, low = 0] = groups
  if (a !== 0 || b !== 0 || c !== 0 || d !== 0 || e !== 0 || f !== 0xffff) return null
  return `${high >> 8}.${high & 255}.${low >> 8}.${low & 255}`
}

/** The text of RFC 5952: lower case, the longest run of zero groups as `::`. */
function formatIpv6(groups: readonly number[]): string {
  let bestStart = -1
  let bestLength = 1
  for (let i = 0; i < 8;) {
    let j = i
    while (j < 8 && groups[j] === 0) j += 1
    if (j - i > bestLength) {
      bestStart = i
      bestLength = j - i
    }
    i = j === i ? i + 1 : j
  }
  let text = ''
  for (let i = 0; i < 8; i += 1) {
    if (i === bestStart) {
      text += '::'
      i += bestLength - 1
    } else {
      const first = i === 0 || (bestStart !== -1 && i === bestStart + bestLength)
      text += (first ? '' : ':') + (groups[i] ?? 0).toString(16)
    }
  }
  return text
}

/** The one spelling of an address (IPv4-mapped IPv6 as IPv4, no zone), or `null` where the text is no address. */
export function canonicalIp(text: string): string | null {
  if (isIpv4(text)) return text
  const groups = parseIpv6(text)
  return groups === null ? null : (mappedIpv4(groups) ?? formatIpv6(groups))
}

/**
 * The identity of a client's address: an IPv4 address as it is, an IPv6 address as its canonical network such as
 * `2001:db8:1:2::/64`, because one client has all of it. A text that is no address is its own identity.
 */
export function ipIdentity(text: string, ipv6Prefix: number): string {
  if (!text.includes(':')) return text
  const groups = parseIpv6(text)
  if (groups === null) return text
  const mapped = mappedIpv4(groups)
  if (mapped !== null) return mapped
  for (let i = 7; i >= 0 && 16 * i + 16 > ipv6Prefix; i -= 1) {
    const kept = Math.max(0, ipv6Prefix - 16 * i)
    groups[i] = (groups[i] ?? 0) & (0xffff << (16 - kept))
  }
  return `${formatIpv6(groups)}/${ipv6Prefix}`
}
