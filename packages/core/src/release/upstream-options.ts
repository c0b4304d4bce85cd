import type { UpstreamName } from '../decision/decision.js'
import { isIpv4, parseIpv6 } from '../decision/ip-address.js'
import { optionError } from '../option-error.js'
import { DEFAULT_PORT, type TlsOptions, type Upstream, type UrlUpstream } from '../upstream.js'

/** An upstream by its URL. */
export interface UpstreamLocation {
  /**
   * Required. `http:` or `https:`, without credentials, query or fragment. Its path is a base that the request's path is
   * appended to.
   */
  readonly url: string | URL
  /**
   * Path of a Unix socket to connect to instead of the URL's host.
   *
   * @default none
   */
  readonly socketPath?: string | undefined
  /**
   * How to speak TLS with the upstream.
   *
   * @default Node's own settings
   */
  readonly tls?: TlsOptions | undefined
}

/** B as the parts in which it differs from A; at least one. */
export interface UpstreamParts {
  /**
   * A host name or address.
   *
   * @default A's
   */
  readonly host?: string | undefined
  /**
   * A port, 1 … 65 535.
   *
   * @default A's
   */
  readonly port?: number | undefined
  /**
   * Replaces the whole path; the query is kept.
   *
   * @default A's path and the request's
   */
  readonly uri?: string | undefined
}

/** Where A is: a URL, or a handler of the framework in this process. */
export type UpstreamOption<Handler = unknown> = string | URL | UpstreamLocation | Handler
/** Where B is: as A, or the parts in which it differs. */
export type UpstreamBOption<Handler = unknown> = UpstreamOption<Handler> | UpstreamParts

/** An option as the schema let it through. */
export type CheckedUpstream = string | URL | UpstreamLocation | UpstreamParts | ((...args: never[]) => unknown)

// eslint-disable-next-line no-control-regex
const NOT_IN_URL = /[\u0000-\u0020\u007f-\uffff\\]/

/**
 * Compiles A's option.
 *
 * @throws {CanaryError} ERR_CANARY_OPTION
 */
export function compileUpstream(name: UpstreamName, option: CheckedUpstream): Upstream {
  if (typeof option === 'function') return { kind: 'handler', name, handler: option }
  const path = `upstreams.${name}`
  if (typeof option === 'string' || option instanceof URL) return fromUrl(name, path, option, null, null)
  if (!('url' in option)) throw optionError(path, 'must be a URL, { url } or a handler', option)
  return fromUrl(name, `${path}.url`, option.url, option.socketPath ?? null, option.tls ?? null)
}

/**
 * Compiles B's option, which may be parts that replace A's.
 *
 * @throws {CanaryError} ERR_CANARY_OPTION
 */
export function compileUpstreamB(option: CheckedUpstream, a: Upstream): Upstream {
  return isParts(option) ? fromParts(option, a) : compileUpstream('B', option)
}

/** Whether an option says only in what B differs from A. */
export function isParts(option: CheckedUpstream): option is UpstreamParts {
  return typeof option === 'object' && !(option instanceof URL) && !('url' in option)
}

function fromUrl(
  name: UpstreamName,
  path: string,
  option: string | URL,
  socketPath: string | null,
  tls: TlsOptions | null,
): UrlUpstream {
  const text = String(option)
  const url = NOT_IN_URL.test(text) ? null : (URL.parse?.(text) ?? parseUrl(text))
  if (url === null || (url.protocol !== 'http:' && url.protocol !== 'https:') || url.hostname === '') {
    throw optionError(path, 'must be an http: or https: URL', text)
  }
  if (url.username !== '' || url.password !== '') throw optionError(path, 'must not hold credentials', text)
  if (url.search !== '' || url.hash !== '') throw optionError(path, 'must have neither query nor fragment', text)
  const scheme = url.protocol === 'https:' ? 'https' : 'http'
  const port = url.port === '' ? DEFAULT_PORT[scheme] : Number(url.port)
  if (port === 0) throw optionError(path, 'must not have port 0', text)
  const basePath = url.pathname.replace(/\/$/, '')
  return build({ name, scheme, hostname: bare(url.hostname), port, basePath, fixedPath: null, socketPath, tls })
}

function parseUrl(text: string): URL | null {
  try {
    return new URL(text)
  } catch {
    return null
  }
}

function fromParts(parts: UpstreamParts, a: Upstream): UrlUpstream {
  const { host, port, uri } = parts
  if (host === undefined && port === undefined && uri === undefined) {
    throw optionError('upstreams.B', 'must say at least one of host, port and uri', parts)
  }
  if (a.kind !== 'url')
    throw optionError('upstreams.B', 'must be whole where A is a handler: parts replace those of a URL', parts)
  const moved = host !== undefined || port !== undefined
  return build({
    name: 'B',
    scheme: a.scheme,
    hostname: host === undefined ? a.hostname : bare(checkedHost(host)),
    port: port ?? a.port,
    basePath: a.basePath,
    fixedPath: uri === undefined ? a.fixedPath : checkedUri(uri),
    socketPath: moved ? null : a.socketPath,
    tls: a.tls,
  })
}

function checkedHost(host: string): string {
  const isName = /^[a-z0-9_](?:[a-z0-9_-]{0,62})(?:\.[a-z0-9_][a-z0-9_-]{0,62})*\.?$/i.test(host) && host.length <= 253
  if (!isName && !isIpv4(host) && parseIpv6(bare(host)) === null) {
    throw optionError('upstreams.B.host', 'must be a host name or an address', host)
  }
  return host.toLowerCase()
}

function checkedUri(uri: string): string {
  if (!uri.startsWith('/') || NOT_IN_URL.test(uri) || /[?#]/.test(uri)) {
    throw optionError('upstreams.B.uri', 'must be a path that begins with / and has no query', uri)
  }
  return uri
}

function bare(hostname: string): string {
  return hostname.startsWith('[') && hostname.endsWith(']') ? hostname.slice(1, -1) : hostname
}

type Located = Omit<UrlUpstream, 'kind' | 'origin' | 'host' | 'poolKey'>

function build(located: Located): UrlUpstream {
  const { scheme, hostname, port, socketPath, tls } = located
  const name = hostname.includes(':') ? `[${hostname}]` : hostname
  const host = port === DEFAULT_PORT[scheme] ? name : `${name}:${port}`
  const origin = `${scheme}://${host}`
  const poolKey = [origin, socketPath ?? '', tls === null ? '' : String(numberOf(tls))].join('|')
  return Object.freeze({ kind: 'url', ...located, host, origin, poolKey })
}

const numbers = new WeakMap<TlsOptions, number>()
let count = 0

/** A number of its own for each TLS object: two that look alike may still differ in a buffer. */
function numberOf(tls: TlsOptions): number {
  const known = numbers.get(tls)
  if (known !== undefined) return known
  count += 1
  numbers.set(tls, count)
  return count
}
