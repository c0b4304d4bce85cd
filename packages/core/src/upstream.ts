import type { SecureContextOptions } from 'node:tls'
import type { UpstreamName } from './decision/decision.js'

/** The port of a URL that names none. */
export const DEFAULT_PORT = { http: 80, https: 443 } as const

/** How to speak TLS with an upstream: Node's own names. */
export interface TlsOptions extends Pick<SecureContextOptions, 'ca' | 'cert' | 'key' | 'passphrase' | 'pfx'> {
  /** The name sent as SNI and checked against the certificate. @default the URL's host */
  readonly servername?: string | undefined
  /** False accepts any certificate: for development only. @default true */
  readonly rejectUnauthorized?: boolean | undefined
}

/** An upstream that is reached over the network, compiled from its options. */
export interface UrlUpstream {
  readonly kind: 'url'
  readonly name: UpstreamName
  readonly scheme: 'http' | 'https'
  /** Without brackets, also for IPv6. */
  readonly hostname: string
  readonly port: number
  /** `scheme://host[:port]`, the port left out where it is the scheme's own. */
  readonly origin: string
  /** What the `Host` header says. */
  readonly host: string
  /** What the request's path is appended to: `''` or `/base` without a slash at its end. */
  readonly basePath: string
  /** What replaces the request's path whole (B's `uri`), or `null`. The query is kept. */
  readonly fixedPath: string | null
  readonly socketPath: string | null
  readonly tls: TlsOptions | null
  /** Equal for two upstreams whose connections may be shared. */
  readonly poolKey: string
}

/** An upstream that is a handler of the framework, in this process. */
export interface HandlerUpstream<Handler = unknown> {
  readonly kind: 'handler'
  readonly name: UpstreamName
  readonly handler: Handler
}

export type Upstream<Handler = unknown> = UrlUpstream | HandlerUpstream<Handler>
