import { type Socket, connect as connectTcp, isIP } from 'node:net'
import { type ConnectionOptions, connect as connectTls } from 'node:tls'
import type { UrlUpstream } from '../upstream.js'

/** The name that is sent as SNI; none for an address. */
export function serverName(upstream: UrlUpstream): string {
  return upstream.tls?.servername ?? (isIP(upstream.hostname) === 0 ? upstream.hostname : '')
}

/** The options of `tls.connect` for an upstream. */
export function tlsOptions(upstream: UrlUpstream): ConnectionOptions {
  const options: Record<string, unknown> = { servername: serverName(upstream) }
  for (const [name, value] of Object.entries(upstream.tls ?? {})) {
    if (value !== undefined && name !== 'servername') options[name] = value
  }
  return options
}

/** A socket of its own to an upstream, half-open where that can be; `connected` is called when it is ready. */
export function openSocket(upstream: UrlUpstream, connected: () => void): Socket {
  const { socketPath, hostname, port, scheme } = upstream
  const target = socketPath === null ? { host: hostname, port } : { path: socketPath }
  if (scheme === 'http') return connectTcp({ ...target, allowHalfOpen: true }, connected)
  return connectTls({ ...tlsOptions(upstream), ...target, ALPNProtocols: ['http/1.1'] }, connected)
}
