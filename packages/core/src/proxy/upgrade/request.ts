import type { IncomingMessage } from 'node:http'
import { CanaryError } from '../../errors.js'
import type { RawRequest } from '../../node-http.js'

/** HTTP or TLS by `Upgrade` would lead around everything that the application checks of each request. */
const LEADS_AROUND = /\b(?:h2c?|https?|tls)\b/i

/**
 * Whether an upgrade is answered as if it had not been asked for, which every server may do: curl and Java's HttpClient
 * ask for `h2c` with ordinary requests. One of HTTP/1.0 must be (RFC 9110, 7.8).
 */
export function isUpgradeIgnored({ headers, httpVersion }: IncomingMessage): boolean {
  return httpVersion === '1.0' || LEADS_AROUND.test(headers.upgrade ?? '')
}

/** Node says of all others that their body comes in chunks, and would send its last one ahead of the tunnel. */
const WITHOUT_BODY = new Set(['GET', 'HEAD', 'DELETE', 'OPTIONS', 'TRACE'])

/**
 * The headers of a request that asks its upstream for an upgrade. There is no body, so there are no trailers either.
 *
 * @throws {CanaryError} ERR_CANARY_REQUEST for one that is not forwarded.
 */
export function upgradeHeaders(
  clean: readonly string[],
  { method, headers: sent }: RawRequest,
  hasBody: boolean,
): string[] {
  const { upgrade: protocol, host } = sent
  // Of an upgrade, Node does not ask for a host.
  if (protocol === undefined || host === undefined || hasBody || LEADS_AROUND.test(protocol)) {
    throw new CanaryError('ERR_CANARY_REQUEST', 'the request asks for an upgrade that is not forwarded')
  }
  const headers: string[] = []
  for (let i = 0; i + 1 < clean.length; i += 2) {
    const name = clean[i] ?? ''
    if (name !== 'trailer') headers.push(name, clean[i + 1] ?? '')
  }
  if (!WITHOUT_BODY.has(method ?? 'GET')) headers.push('content-length', '0')
  headers.push('connection', 'Upgrade', 'upgrade', protocol)
  return headers
}

/**
 * The protocol that an upstream switched to; `null` where nobody asked for it, and the client would not know what it is
 * talking with.
 */
export function switchedTo({ headers }: IncomingMessage, request: RawRequest): string | null {
  const asked = new Set(protocolsOf(request.headers.upgrade))
  const protocol = headers.upgrade
  const switched = protocolsOf(protocol)
  return protocol !== undefined && switched.length > 0 && switched.every((one) => asked.has(one)) ? protocol : null
}

function protocolsOf(upgrade: string | undefined): string[] {
  const protocols = (upgrade ?? '').split(',').map((protocol) => protocol.trim().toLowerCase())
  return protocols.filter((protocol) => protocol !== '')
}
