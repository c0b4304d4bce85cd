import type { SecureContextOptions } from 'node:tls'
import type { UpstreamName } from './decision/decision.js'

/** The port of a URL that names none. */
export const DEFAULT_PORT = { http: 80, https: 443 } as const

/** How to speak TLS with an upstream: Node's own names, as of `tls.createSecureContext`. */
export interface TlsOptions {
  /**
   * Certificates of authorities that are trusted instead of the well-known ones, PEM.
   *
   * @default the well-known authorities
   */
  readonly ca?: SecureContextOptions['ca']
  /**
   * The certificate chain that this client shows, PEM.
   *
   * @default none
   */
  readonly cert?: SecureContextOptions['cert']
  /**
   * The private key of `cert`, PEM.
   *
   * @default none
   */
  readonly key?: SecureContextOptions['key']
  /**
   * Decrypts `key` or `pfx`.
   *
   * @default none
   */
  readonly passphrase?: SecureContextOptions['passphrase']
  /**
   * Certificate and key in one, PKCS#12: instead of `cert` and `key`.
   *
   * @default none
   */
  readonly pfx?: SecureContextOptions['pfx']
  /**
   * The name sent as SNI and checked against the certificate.
   *
   * @default the URL's host
   */
  readonly servername?: string | undefined
  /**
   * False accepts any certificate: for development only.
   *
   * @default true
   */
  readonly rejectUnauthorized?: boolean | undefined
}

/** An upstream that is reached over the network, compiled from its options. */
export interface UrlUpstream {
  /** Reached over the network. */
  readonly kind: 'url'
  /** A or B. */
  readonly name: UpstreamName
  /** Without its colon. */
  readonly scheme: 'http' | 'https'
  /** Without brackets, also for IPv6. */
  readonly hostname: string
  /** 1 … 65 535. */
  readonly port: number
  /** `scheme://host[:port]`, the port left out where it is the scheme's own. */
  readonly origin: string
  /** What the `Host` header says. */
  readonly host: string
  /** What the request's path is appended to: `''` or `/base` without a slash at its end. */
  readonly basePath: string
  /** What replaces the request's path whole (B's `uri`), or `null`. The query is kept. */
  readonly fixedPath: string | null
  /** The Unix socket that is connected to instead of the host; `null`: none. */
  readonly socketPath: string | null
  /** How to speak TLS with it; `null`: as Node does. */
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
