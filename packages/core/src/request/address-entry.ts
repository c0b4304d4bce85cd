import { canonicalIp } from '../decision/ip-address.js'

/**
 * The address in one entry of a forwarding header, without port and brackets (`203.0.113.9:4711`,
 * `[2001:db8::1]:443`), in its one spelling; `null` where the entry is none (`unknown`, `_hidden`, rubbish).
 */
export function addressOfEntry(entry: string): string | null {
  const text = entry.trim()
  if (text.length === 0 || text.length > 64) return null
  if (text.startsWith('[')) {
    const end = text.indexOf(']')
    if (end === -1 || !isPort(text.slice(end + 1))) return null
    return canonicalIp(text.slice(1, end))
  }
  const colon = text.indexOf(':')
  const isIpv4WithPort = colon !== -1 && text.indexOf(':', colon + 1) === -1
  if (isIpv4WithPort) return isPort(text.slice(colon)) ? canonicalIp(text.slice(0, colon)) : null
  return canonicalIp(text)
}

function isPort(text: string): boolean {
  return text === '' || /^:\d{1,5}$/.test(text)
}
