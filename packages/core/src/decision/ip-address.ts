/** Reads addresses as text: no lookups, no sockets. */

const IPV4 = /^(?:25[0-5]|2[0-4]\d|1\d\d|[1-9]?\d)(?:\.(?:25[0-5]|2[0-4]\d|1\d\d|[1-9]?\d)){3}$/
const GROUP = /^[0-9a-f]{1,4}$/i

export function isIpv4(text: string): boolean {
  return text.length <= 15 && IPV4.test(text)
}

/** The eight 16-bit groups of an IPv6 address without its zone, or `null` where the text is none. */
export function parseIpv6(text: string): number[] | null {
  if (text.length < 2 || text.length > 64) return null
  const zone = text.indexOf('%')
  const bare = zone === -1 ? text : text.slice(0, zone)
  const halves = bare.split('::')
  if (halves.length > 2) return null
  const head = parseGroups(halves[0] ?? '', halves.length === 1)
  const tail = halves.length === 2 ? parseGroups(halves[1] ?? '', true) : []
  if (head === null || tail === null) return null
  const missing = 8 - head.length - tail.length
  if (halves.length === 1 ? missing !== 0 : missing < 1) return null
  return [...head, ...Array.from({ length: missing }, () => 0), ...tail]
}

function parseGroups(text: string, last: boolean): number[] | null {
  if (text === '') return []
  const groups: number[] = []
  const parts = text.split(':')
  for (const [i, part] of parts.entries()) {
    if (last && i === parts.length - 1 && part.includes('.')) {
      if (!isIpv4(part)) return null
      const [a = 0, b = 0, c = 0, d = 0] = part.split('.').map(Number)
      groups.push((a << 8) | b, (c << 8) | d)
    } else if (GROUP.test(part)) {
      groups.push(Number.parseInt(part, 16))
    } else {
      return null
    }
  }
  return groups
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
  const text = (from: number, to: number) =>
    groups
      .slice(from, to)
      .map((group) => group.toString(16))
      .join(':')
  return bestStart === -1 ? text(0, 8) : `${text(0, bestStart)}::${text(bestStart + bestLength, 8)}`
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
  const network = groups.map((group, i) => {
    const bits = Math.min(16, Math.max(0, ipv6Prefix - 16 * i))
    return group & (0xffff << (16 - bits)) & 0xffff
  })
  return `${formatIpv6(network)}/${ipv6Prefix}`
}
