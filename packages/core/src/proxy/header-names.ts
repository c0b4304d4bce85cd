import { IDENTITY_HEADERS, compileNames, dashed } from './identity-names.js'

/** What forwarding does with a header, by its name. */
export type HeaderRole =
  | 'pass'
  /** Hop-by-hop, or answered by this server: never passed on. */
  | 'drop'
  | 'connection'
  | 'host'
  | 'x-canary-via'
  | 'forwarded'
  /** Who calls, as a gateway says it: not believed of strangers where it is known who is none. */
  | 'identity'
  | 'x-forwarded-for'
  | 'x-forwarded-host'
  | 'x-forwarded-port'
  | 'x-forwarded-proto'
  | 'content-length'
  | 'content-encoding'
  | 'cookie'
  | 'set-cookie'
  | 'trailer'
  /** Hop-by-hop too, and refused where it says more than that there are chunks. */
  | 'transfer-encoding'
  | 'vary'

export interface HeaderName {
  /** In lower case. */
  readonly name: string
  readonly role: HeaderRole
}

const HOP_BY_HOP = [
  'connection',
  'http2-settings',
  'keep-alive',
  'proxy-authenticate',
  'proxy-authorization',
  'proxy-connection',
  'te',
  'upgrade',
]

const SPECIAL: readonly HeaderRole[] = [
  'connection',
  'host',
  'x-canary-via',
  'forwarded',
  'x-forwarded-for',
  'x-forwarded-host',
  'x-forwarded-port',
  'x-forwarded-proto',
  'content-length',
  'content-encoding',
  'cookie',
  'set-cookie',
  'trailer',
  'transfer-encoding',
  'vary',
]

/** What else proxies say of their client, and servers believe: passed on from a trusted peer only, like `forwarded`. */
const CLIENT_CLAIMS = [
  'x-forwarded-prefix',
  'x-forwarded-protocol',
  'x-forwarded-scheme',
  'x-forwarded-server',
  'x-forwarded-ssl',
  'x-real-ip',
]

/** Names seen often, so that they are found in any spelling they usually have, without lowering them anew. */
const COMMON = `Accept Accept-Charset Accept-Encoding Accept-Language Accept-Ranges Access-Control-Allow-Credentials
Access-Control-Allow-Headers Access-Control-Allow-Methods Access-Control-Allow-Origin Access-Control-Expose-Headers
Access-Control-Max-Age Access-Control-Request-Headers Access-Control-Request-Method Age Allow Apikey Authorization
Cache-Control Content-Disposition Content-Language Content-Location Content-Range Content-Security-Policy Content-Type
Cross-Origin-Embedder-Policy Cross-Origin-Opener-Policy Cross-Origin-Resource-Policy DNT Date ETag Expires From
Idempotency-Key If-Match If-Modified-Since If-None-Match If-Range If-Unmodified-Since Last-Modified Link Location Origin
Permissions-Policy Pragma Priority Range Referer Referrer-Policy Retry-After Sec-CH-UA Sec-CH-UA-Mobile
Sec-CH-UA-Platform Sec-Fetch-Dest Sec-Fetch-Mode Sec-Fetch-Site Sec-Fetch-User Sec-WebSocket-Accept
Sec-WebSocket-Extensions Sec-WebSocket-Key Sec-WebSocket-Protocol Sec-WebSocket-Version Server Server-Timing
Strict-Transport-Security Traceparent Tracestate Upgrade-Insecure-Requests User-Agent Via WWW-Authenticate X-Api-Key
X-Content-Type-Options X-DNS-Prefetch-Control X-Frame-Options X-Powered-By X-RateLimit-Limit X-RateLimit-Remaining
X-RateLimit-Reset X-Request-ID X-Requested-With X-XSS-Protection`

const DEFAULT_DECISION_HEADER = 'x-canary-upstream'

/** What says how a message is read, cached, authorized or followed: neither a decision nor a trailer may be called so. */
const RESERVED = new Set(
  `accept-encoding age allow authorization cache-control content-disposition content-language content-location content-range
content-security-policy content-type date etag expires last-modified link location max-forwards origin pragma range refresh
retry-after strict-transport-security warning www-authenticate`.split(/\s+/),
)

const known = new Map<string, HeaderName>()

function register(name: string, role: HeaderRole): void {
  const lower = name.toLowerCase()
  const entry = { name: lower, role }
  known.set(lower, entry)
  known.set(name, entry)
  known.set(
    lower.replace(/(^|-)[a-z]/g, (letter) => letter.toUpperCase()),
    entry,
  )
}

for (const name of COMMON.split(/\s+/)) register(name, 'pass')
for (const name of HOP_BY_HOP) register(name, 'drop')
for (const role of SPECIAL) register(role, role)
for (const name of CLIENT_CLAIMS) register(name, 'forwarded')
// This server has answered it already: Node sends the 100 by itself.
register('expect', 'drop')
// No header of HTTP, but servers that make variables of headers take it for HTTP_PROXY, and send what they send there.
register('proxy', 'drop')
// What the decision's header is called by default: nobody but the gateway may say it.
register(DEFAULT_DECISION_HEADER, 'drop')

/** Whether a decision may not be told in a header of this name, because servers and clients act on it. */
export function isReserved(sent: string): boolean {
  const { name, role } = headerName(sent)
  const spelt = dashed(name)
  return spelt !== DEFAULT_DECISION_HEADER && (role !== 'pass' || RESERVED.has(spelt))
}

/** Whether a trailer of this name is passed on; what a client acts on stands in the head (RFC 9110, 6.5.1). */
export function mayTrail({ name, role }: HeaderName): boolean {
  return (role === 'pass' || role === 'identity') && !RESERVED.has(name)
}

const isIdentity = compileNames(IDENTITY_HEADERS)

/** Names that clients and upstreams sent: so many are kept, and no longer ones, for whoever sends them chooses them. */
const met = new Map<string, HeaderName>()
const MOST_MET = 1024
const LONGEST_MET = 64

/** Looks a header's name up, in whatever case it was sent. */
export function headerName(sent: string): HeaderName {
  return known.get(sent) ?? met.get(sent) ?? meet(sent)
}

function meet(sent: string): HeaderName {
  const entry = resolveUncommon(sent)
  if (met.size < MOST_MET && sent.length <= LONGEST_MET) met.set(sent, entry)
  return entry
}

/**
 * CGI and WSGI take `X_Forwarded_For` for `X-Forwarded-For`: a name that only its underscores tell from one the gateway
 * answers for is dropped.
 */
function resolveUncommon(sent: string): HeaderName {
  const name = sent.toLowerCase()
  const entry = known.get(name)
  if (entry !== undefined) return entry
  if (isIdentity(name)) return { name, role: 'identity' }
  const twin = name.includes('_') ? known.get(dashed(name)) : undefined
  return { name, role: twin === undefined || twin.role === 'pass' ? 'pass' : 'drop' }
}
