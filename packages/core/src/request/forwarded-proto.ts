import type { IncomingHttpHeaders } from 'node:http'
import { forwardedValues } from './forwarded-header.js'
import { headerText } from './header-text.js'

/** Traefik says `wss` of WebSockets. */
const OVER_TLS = new Set(['https', 'wss'])

/**
 * Whether a trusted peer says that the client speaks TLS: by x-forwarded-proto, or by `forwarded` where that is the header
 * it names the client in. Of several proxies, the one that the client spoke with is named first.
 */
export function saysHttps(headers: IncomingHttpHeaders, realIpHeader: string): boolean {
  const list = headerText(headers, 'x-forwarded-proto')
  const comma = list.indexOf(',')
  const first = (comma === -1 ? list : list.slice(0, comma)).trim()
  if (first !== '' || realIpHeader !== 'forwarded') return OVER_TLS.has(first.toLowerCase())
  const proto = forwardedValues(headerText(headers, 'forwarded'), 'proto')?.[0] ?? ''
  return OVER_TLS.has(proto.toLowerCase())
}
