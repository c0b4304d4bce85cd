import { isIPv4 } from 'node:net'
import type { Decision } from '../../decision/decision.js'
import { CanaryError } from '../../errors.js'
import type { RawRequest } from '../../node-http.js'
import { headerName } from '../header-names.js'
import { type NameTest, dashed } from '../identity-names.js'

/** What the headers of a forwarded request depend on, beside the request. */
export interface RequestHeaderPlan {
  /** The id of the mount, eight hex digits. */
  readonly mount: string
  /** The upstream is told in `Via` that there is a gateway. */
  readonly via: boolean
  /** The upstream's own `Host`. */
  readonly host: string
  readonly preserveHost: boolean
  readonly peerTrusted: boolean
  /** In lower case; `null` where the upstream is not told. */
  readonly decisionHeader: string | null
  /** What names the client where the peer is trusted, in lower case; of anybody else it is a forgery. */
  readonly realIpHeader: string | null
  /** Headers that say who calls are a stranger's claim, or unwanted from anybody. */
  readonly dropIdentity: boolean
  /** What else is not passed on. */
  readonly drops: NameTest | null
  readonly decision: Decision
  /** The request's body is passed on as it came: its content-length and content-encoding still hold. */
  readonly bodyUntouched: boolean
}

/**
 * The headers to send upstream, `[name, value, …]`: the client's in their order, then those the gateway answers for.
 *
 * @throws {CanaryError} ERR_CANARY_REQUEST where the client names a host that is none, or several; ERR_CANARY_LOOP
 */
export function requestHeaders(request: RawRequest, plan: RequestHeaderPlan): string[] {
  const raw = request.rawHeaders
  const headers: string[] = ['host', plan.host]
  let host: string | undefined
  let named: string | undefined
  let forwardedFor: string | undefined
  let forwardedHost: string | undefined
  let forwardedPort: string | undefined
  let forwardedProto: string | undefined
  let passed: string | undefined
  let cookies: string | undefined
  for (let i = 0; i + 1 < raw.length; i += 2) {
    const sent = raw[i] ?? ''
    const value = raw[i + 1] ?? ''
    if (sent.charCodeAt(0) === 0x3a) {
      if (sent === ':authority') host ??= value
      continue
    }
    const { name, role } = headerName(sent)
    switch (role) {
      case 'drop':
      case 'transfer-encoding':
      // Trailers are not sent on, so that nothing may promise them.
      case 'trailer':
        break
      case 'connection':
        named = joined(named, value)
        break
      case 'host':
        host = onlyHost(host, value, request)
        break
      case 'x-canary-via':
        passed = joined(passed, value)
        break
      case 'x-forwarded-for':
        forwardedFor = joined(forwardedFor, value)
        break
      case 'x-forwarded-host':
        forwardedHost = joined(forwardedHost, value)
        break
      case 'x-forwarded-port':
        forwardedPort = joined(forwardedPort, value)
        break
      case 'x-forwarded-proto':
        forwardedProto = joined(forwardedProto, value)
        break
      case 'forwarded':
        if (plan.peerTrusted && !isDropped(name, plan)) headers.push(name, value)
        break
      case 'identity':
        if (!isOwn(name, plan) && !isDropped(name, plan) && mayTell(name, plan)) headers.push(name, value)
        break
      case 'content-length':
      case 'content-encoding':
        if (plan.bodyUntouched) headers.push(name, value)
        break
      case 'cookie':
        if (isDropped(name, plan)) break
        // HTTP/2 splits cookies into several fields, which HTTP/1.1 servers do not expect.
        if (request.httpVersionMajor < 2) headers.push(name, value)
        else cookies = cookies === undefined ? value : `${cookies}; ${value}`
        break
      default:
        if (!isOwn(name, plan) && !isDropped(name, plan)) headers.push(name, value)
    }
  }
  if (cookies !== undefined) headers.push('cookie', cookies)
  const own = named === undefined ? headers : withoutNamed(headers, named)

  const socket = request.socket
  const peer = plainAddress(socket.remoteAddress)
  const secure = 'encrypted' in socket && socket.encrypted === true
  const trusted = plan.peerTrusted
  // An empty one is allowed (RFC 9110, 7.2), and says nothing.
  const client = host === undefined || host === '' ? null : readHost(host)
  if (peer !== undefined) own.push('x-forwarded-for', trusted ? joined(forwardedFor, peer) : peer)
  if (client !== null) {
    if (plan.preserveHost) own[1] = client.text
    own.push('x-forwarded-host', trusted ? joined(forwardedHost, client.text) : client.text)
  } else if (trusted && forwardedHost !== undefined) own.push('x-forwarded-host', forwardedHost)
  const port = client?.port ?? (secure ? '443' : '80')
  own.push('x-forwarded-port', trusted ? joined(forwardedPort, port) : port)
  const proto = secure ? 'https' : 'http'
  own.push('x-forwarded-proto', trusted ? joined(forwardedProto, proto) : proto)
  own.push(PASSED_MOUNTS, passedMounts(passed, plan.mount))
  if (plan.via) own.push('via', `${request.httpVersion} canary-release`)
  if (plan.decisionHeader !== null) own.push(plan.decisionHeader, plan.decision.upstream)
  return own
}

/** Whether only the gateway may say this header, as the release is set up. */
function isOwn(name: string, { decisionHeader, realIpHeader, peerTrusted }: RequestHeaderPlan): boolean {
  return readsAlike(name, decisionHeader) || (!peerTrusted && readsAlike(name, realIpHeader))
}

function mayTell(name: string, { dropIdentity, realIpHeader }: RequestHeaderPlan): boolean {
  return !dropIdentity || readsAlike(name, realIpHeader)
}

/** Whether the application wants nobody to say this header. Who the client is, the trusted proxy must be able to say. */
function isDropped(name: string, { drops, realIpHeader }: RequestHeaderPlan): boolean {
  return drops !== null && drops(name) && !readsAlike(name, realIpHeader)
}

/** CGI and WSGI tell underscores and dashes no more apart than capitals. */
function readsAlike(name: string, own: string | null): boolean {
  if (own === null || name.length !== own.length) return false
  return name === own || dashed(name) === dashed(own)
}

function joined(before: string | undefined, value: string): string {
  return before === undefined || before === '' ? value : `${before}, ${value}`
}

/** Two hosts would let two servers on the way see two sites. */
function onlyHost(before: string | undefined, value: string, request: RawRequest): string {
  if (before !== undefined && (request.httpVersionMajor < 2 || before !== value)) {
    throw new CanaryError('ERR_CANARY_REQUEST', 'the request names more than one host')
  }
  return value
}

const USUAL_CONNECTION = /^(?:close|keep-alive|upgrade)$/i

/** Without those that `Connection` names. The first pair is the gateway's own `host` and stays. */
function withoutNamed(headers: string[], named: string): string[] {
  if (USUAL_CONNECTION.test(named)) return headers
  const names = new Set(named.split(',').map((name) => name.trim().toLowerCase()))
  const kept = headers.slice(0, 2)
  for (let i = 2; i + 1 < headers.length; i += 2) {
    const name = headers[i] ?? ''
    if (!names.has(name)) kept.push(name, headers[i + 1] ?? '')
  }
  return kept
}

/** An IPv4 address that a dual-stack socket shows as `::ffff:192.0.2.1`, as people write it. */
function plainAddress(address: string | undefined): string | undefined {
  if (address === undefined || !address.startsWith('::ffff:')) return address
  const plain = address.slice(7)
  return isIPv4(plain) ? plain : address
}

/** Tells the mounts that a request has passed, each by its id. */
const PASSED_MOUNTS = 'x-canary-via'

/** Longer, it says nothing: anybody can send it, and it grows with each mount. */
const LONGEST = 1024
const IDS = /^[\da-f]{8}(?:, ?[\da-f]{8})*$/
/** An upstream may ask its gateway for something with the headers that it got: once is no loop. */
const MOST_PASSES = 2

/**
 * What {@link PASSED_MOUNTS} says behind the mount `own`. Nothing else is made of what the client says there.
 *
 * @throws {CanaryError} ERR_CANARY_LOOP where the request is at that mount for the third time
 */
function passedMounts(sent: string | undefined, own: string): string {
  if (sent === undefined || sent.length > LONGEST || !IDS.test(sent)) return own
  let passes = 0
  for (let at = sent.indexOf(own); at !== -1; at = sent.indexOf(own, at + own.length)) passes += 1
  if (passes < MOST_PASSES) return `${sent},${own}`
  throw new CanaryError('ERR_CANARY_LOOP', 'the request came by here for the third time: an upstream leads back here')
}

/** Names and values that Node's parser tells of one head where the server does not say how many. */
const TOLD_BY_NODE = 2000

/**
 * Whether Node may have left headers out. Node 20 does so without a word where there are more than
 * `server.maxHeadersCount`, and the `content-length` of a body that follows may be among them. Later versions and HTTP/2
 * refuse such requests themselves.
 */
export function mayLackHeaders({ rawHeaders, httpVersionMajor, socket }: RawRequest): boolean {
  if (httpVersionMajor > 1) return false
  const told = mostTold(socket)
  return told > 0 && rawHeaders.length >= told
}

function mostTold(socket: object): number {
  const server = 'server' in socket ? socket.server : null
  if (typeof server !== 'object' || server === null || !('maxHeadersCount' in server)) return TOLD_BY_NODE
  return typeof server.maxHeadersCount === 'number' ? server.maxHeadersCount * 2 : TOLD_BY_NODE
}

/** The host that a client asked for. */
export interface ClientHost {
  /** As it was sent: `shop.example:8443`, `[2001:db8::1]`. */
  readonly text: string
  /** `null` where none is named. */
  readonly port: string | null
}

/**
 * `uri-host [":" port]` (RFC 9110, 7.2; RFC 3986, 3.2.2). Of a literal in brackets and of a port it only sees that they
 * are some: which ones there are is left to the URL standard. It has no IPvFuture.
 */
const HOST = /^(?:\[[\da-f:.]+\]|(?:[\w.~!$&'()*+,;=-]|%[\da-f]{2})+)(?::(\d*))?$/i

/** Most requests of a gateway name the same host. */
let last: ClientHost = { text: 'localhost', port: null }

/**
 * Reads what a client sent as `Host` or `:authority`; not the empty one, which names no host. Whatever is accepted
 * stands for itself in a URL: nothing of it is taken for a user, a path or a query.
 *
 * @throws {CanaryError} ERR_CANARY_REQUEST where it is no host
 */
export function readHost(text: string): ClientHost {
  if (text === last.text) return last
  const found = HOST.exec(text)
  // The grammar allows names that no URL can have: encoded delimiters, 1.2.3.999.
  if (found === null || !URL.canParse(`http://${text}/`)) {
    throw new CanaryError('ERR_CANARY_REQUEST', 'the request names a host that is none')
  }
  const port = found[1] === undefined || found[1] === '' ? null : String(Number(found[1]))
  last = { text, port }
  return last
}
