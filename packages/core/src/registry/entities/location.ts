import { CanaryError } from '../../errors.js'
import { redactUrl } from '../../option-error.js'
import { compileUpstream, compileUpstreamB } from '../../release/upstream-options.js'
import { DEFAULT_PORT, type UrlUpstream } from '../../upstream.js'
import type { Api, Service } from './entities.js'
import type { CanaryConfig } from './records.js'
import type { FieldMessages } from './violation.js'

/** The parts of a URL as a service has them. */
export interface UrlParts {
  readonly protocol: 'http' | 'https'
  readonly host: string
  readonly port: number
  readonly path: string | null
}

/** The parts of a URL, as Kong's shorthand `url` sets them; a text that says why not. */
export function partsOf(url: string): UrlParts | string {
  let parsed: URL
  try {
    parsed = new URL(url)
  } catch {
    return 'missing host in url'
  }
  if (parsed.protocol !== 'http:' && parsed.protocol !== 'https:') return 'expected one of: http, https'
  if (parsed.username !== '' || parsed.password !== '') return 'must not hold credentials'
  if (parsed.search !== '' || parsed.hash !== '') return 'must have neither query nor fragment'
  const protocol = parsed.protocol === 'https:' ? 'https' : 'http'
  const port = parsed.port === '' ? DEFAULT_PORT[protocol] : Number(parsed.port)
  // A URL without a path is no base, as in Kong.
  const path = parsed.pathname === '/' ? null : parsed.pathname
  return { protocol, host: parsed.hostname.replace(/^\[|\]$/g, ''), port, path }
}

export function defaultPort(protocol: unknown): number {
  return protocol === 'https' ? DEFAULT_PORT.https : DEFAULT_PORT.http
}

/** A base to try parts on. */
const ANYWHERE = asUrl(compileUpstream('A', 'http://service'))

function asUrl(upstream: ReturnType<typeof compileUpstream>): UrlUpstream {
  if (upstream.kind === 'url') return upstream
  throw new CanaryError('ERR_CANARY_OPTION', 'a location must be a URL')
}

function refused(work: () => unknown): boolean {
  try {
    work()
    return false
  } catch (error) {
    if (error instanceof CanaryError) return true
    throw error
  }
}

/** What is wrong with the parts of a location, without credentials that somebody wrote there. */
export function checkParts({ host, path }: Pick<UrlParts, 'host' | 'path'>): FieldMessages {
  return {
    ...(refused(() => compileUpstreamB({ host }, ANYWHERE)) ? { host: `invalid value: ${redactUrl(host)}` } : {}),
    ...(path !== null && refused(() => compileUpstreamB({ uri: path }, ANYWHERE))
      ? { path: `invalid path: '${redactUrl(path)}' (characters outside of the reserved list of RFC 3986 found)` }
      : {}),
  }
}

/** Location A of a service or a legacy api, compiled. Its row was checked. */
export function locationOf(entity: Service | Api): UrlUpstream {
  if ('upstream_url' in entity) return asUrl(compileUpstream('A', entity.upstream_url))
  const { protocol, port, path } = entity
  return asUrl(compileUpstream('A', `${protocol}://${bracketed(entity.host)}:${port}${path ?? ''}`))
}

function bracketed(host: string): string {
  return host.includes(':') ? `[${host}]` : host
}

/**
 * Location B: A with the parts that the canary's config says.
 *
 * @throws {CanaryError} ERR_CANARY_OPTION where a part is none
 */
export function canaryLocation(config: CanaryConfig, a: UrlUpstream = ANYWHERE): UrlUpstream {
  const { upstream_host, upstream_port, upstream_uri } = config
  return asUrl(
    compileUpstreamB(
      { host: upstream_host ?? undefined, port: upstream_port ?? undefined, uri: upstream_uri ?? undefined },
      a,
    ),
  )
}

/** The parts of a service at location B, for Kong's first step of finalizing. B's `upstream_uri` becomes the path. */
export function finalParts(service: UrlParts, config: CanaryConfig): UrlParts {
  return {
    protocol: service.protocol,
    host: config.upstream_host ?? service.host,
    port: config.upstream_port ?? service.port,
    path: config.upstream_uri ?? service.path,
  }
}

export function urlOf({ protocol, host, port, path }: UrlParts): string {
  const shown = port === DEFAULT_PORT[protocol] ? '' : `:${port}`
  return `${protocol}://${bracketed(host)}${shown}${path ?? ''}`
}
