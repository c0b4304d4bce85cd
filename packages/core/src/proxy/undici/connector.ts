import { buildConnector } from 'undici'
import type { UrlUpstream } from '../../upstream.js'
import { serverName, tlsOptions } from '../upstream-socket.js'
import { ConnectError, HTTP_1_ONLY, destroyConnecting } from './private-hooks.js'
import { READ_AHEAD } from './socket.js'

type Connector = ReturnType<typeof buildConnector>
type Callback = Parameters<Connector>[1]

/**
 * Opens sockets to one upstream; TLS sessions are taken up again across them. The connector returns what gives the
 * attempt up.
 */
export function createConnector(upstream: UrlUpstream): (timeoutMs: number, callback: Callback) => () => void {
  const base = {
    ...HTTP_1_ONLY,
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
    const giveUp = (error: ConnectError) => destroyConnecting(socket, error)
    const timer = setTimeout(() => giveUp(new ConnectError(`no connection in ${timeoutMs} ms`, true)), timeoutMs)
    return () => giveUp(new ConnectError('no longer needed', false))
  }
}
