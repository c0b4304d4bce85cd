import { type Socket, connect as connectTcp, isIP } from 'node:net'
import { type ConnectionOptions, connect as connectTls } from 'node:tls'
import { buildConnector } from 'undici'
import type { UrlUpstream } from '../release/upstream.js'
import { READ_AHEAD } from './read-ahead.js'

/** Why no connection came about; undici must see no code of its own here, or it would try again for ever. */
export class ConnectError extends Error {
  readonly timedOut: boolean

  constructor(message: string, timedOut: boolean, cause?: unknown) {
    super(message, { cause })
    this.timedOut = timedOut
  }
}

type Connector = ReturnType<typeof buildConnector>
type Callback = Parameters<Connector>[1]

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

/**
 * Opens sockets to one upstream; TLS sessions are taken up again across them. The connector returns what gives the
 * attempt up.
 */
export function createConnector(upstream: UrlUpstream): (timeoutMs: number, callback: Callback) => () => void {
  const base = {
    // Undici's own timer is exact to a second only.
    timeout: 0,
    highWaterMark: READ_AHEAD,
    keepAlive: true,
    keepAliveInitialDelay: 60_000,
    socketPath: upstream.socketPath,
  }
  const connect = buildConnector(upstream.scheme === 'https' ? { ...tlsOptions(upstream), ...base } : base)
  const target = {
    hostname: upstream.hostname,
    host: upstream.hostname,
    protocol: `${upstream.scheme}:`,
    port: String(upstream.port),
    servername: serverName(upstream),
  }
  return (timeoutMs, callback) => {
    const socket: unknown = connect(target, (...[error, socket]) => {
      clearTimeout(timer)
      if (error === null) callback(null, socket)
      else callback(error instanceof ConnectError ? error : new ConnectError(error.message, false, error), null)
    })
    const giveUp = (error: ConnectError) => {
      if (hasDestroy(socket)) socket.destroy(error)
    }
    const timer = setTimeout(() => giveUp(new ConnectError(`no connection in ${timeoutMs} ms`, true)), timeoutMs)
    return () => giveUp(new ConnectError('no longer needed', false))
  }
}

/** A socket of its own to an upstream, half-open where that can be; `connected` is called when it is ready. */
export function openSocket(upstream: UrlUpstream, connected: () => void): Socket {
  const { socketPath, hostname, port, scheme } = upstream
  const target = socketPath === null ? { host: hostname, port } : { path: socketPath }
  if (scheme === 'http') return connectTcp({ ...target, allowHalfOpen: true }, connected)
  return connectTls({ ...tlsOptions(upstream), ...target, ALPNProtocols: ['http/1.1'] }, connected)
}

function hasDestroy(value: unknown): value is { destroy(error: Error): void } {
  return typeof value === 'object' && value !== null && 'destroy' in value && typeof value.destroy === 'function'
}
