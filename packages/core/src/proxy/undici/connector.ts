import { buildConnector } from 'undici'
import type { UrlUpstream } from '../../upstream.js'
import { serverName, tlsOptions } from '../upstream-socket.js'
import { READ_AHEAD } from './socket.js'

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

function hasDestroy(value: unknown): value is { destroy(error: Error): void } {
  return typeof value === 'object' && value !== null && 'destroy' in value && typeof value.destroy === 'function'
}
