import http from 'node:http'
import https from 'node:https'
import { createRequire } from 'node:module'
import type ProxyServer from 'http-proxy'
import { CanaryError } from '../../errors.js'
import { hookError } from '../../hook.js'
import type { Attempt, AttemptResult, Forwarder } from '../forwarder.js'
import { HttpProxyExchange } from './exchange.js'
import { KeptSockets } from './kept-sockets.js'
import { emitTo } from './listeners.js'
import { ownForwarder } from '../supervised-forwarder.js'
import { Tunnels } from '../upgrade/tunnel.js'
import { Upgrade, type UpgradeEvents } from '../upgrade/upgrade.js'

/**
 * A {@link Forwarder} that sends requests through http-proxy: through your own server, whose events and options keep
 * working, or through a new one made with `options`. Give it as `proxy.forwarder`.
 *
 * What differs from http-proxy alone, and what it cannot do:
 * - The decision names the upstream: `target`, `forward`, `prependPath`, `ignorePath`, `toProxy`, `xfwd`,
 *   `followRedirects`, `buffer`, `timeout` and `proxyTimeout` are not heeded; paths, X-Forwarded-* headers and time
 *   limits are those of `proxy`. `connections`, `queue` and `connectionMaxAgeMs` hold unless the server has an `agent` of
 *   its own; so does the care for a POST, which goes on no connection that its upstream may be closing.
 * - An `error` listener that answers the client takes the place of the framework's error handling, and of the fallback.
 * - With `selfHandleResponse`, a `proxyRes` listener answers, and headers are its own affair.
 * - A listener of `start`, `proxyReq` or `proxyRes` that throws ends its own request with ERR_CANARY_HOOK; one of another
 *   event, or whose promise is rejected when the response has begun, is reported, and changes nothing.
 * - Upgrades do not pass through `server.ws`, which dies of a client's reset during the handshake, waits for ever for an
 *   answer and garbles refusals. The server's `proxyReqWs`, `open` and `close` events happen all the same.
 *
 * @throws {CanaryError} ERR_CANARY_OPTION where neither a server is given nor http-proxy installed.
 */
export function httpProxyForwarder(server?: ProxyServer, options: ProxyServer.ServerOptions = {}): Forwarder {
  const proxy = server ?? createServer(options)
  const kept = {
    http: new KeptSockets(new http.Agent({ keepAlive: true })),
    https: new KeptSockets(new https.Agent({ keepAlive: true })),
  }
  const running = new Map<object, Tunnels>()

  function runningOf(mount: object): Tunnels {
    let own = running.get(mount)
    if (own === undefined) {
      own = new Tunnels()
      running.set(mount, own)
    }
    return own
  }

  function forward(attempt: Attempt, head: (status: number) => void, done: (result: AttemptResult) => void): void {
    const own = runningOf(attempt.mount)
    if (attempt.upgrade !== null) {
      new Upgrade(attempt, attempt.upgrade, own, head, done, eventsOf(proxy, attempt)).start()
    } else new HttpProxyExchange(attempt, proxy, kept[attempt.upstream.scheme], own, head, done).start()
  }

  async function close(graceMs = 10_000, mount?: object): Promise<void> {
    const mounts = mount === undefined ? [...running.keys()] : [mount]
    await Promise.all(mounts.map((one) => running.get(one)?.drain(graceMs)))
    for (const one of mounts) running.delete(one)
    // They would take the sockets of other mounts with them.
    if (running.size > 0) return
    kept.http.agent.destroy()
    kept.https.agent.destroy()
  }

  return ownForwarder({ forward, close })
}

/** The events of an upgrade: one before it is sent can refuse it, the others only tell. */
function eventsOf(proxy: ProxyServer, { reports }: Attempt): UpgradeEvents {
  return {
    emit: (name, ...args) => {
      let mayRefuse = name === 'proxyReqWs'
      let refusal: CanaryError | null = null
      emitTo(proxy, name, args, (cause) => {
        const error = hookError(`a listener of http-proxy's ${name} failed`, cause)
        if (mayRefuse) refusal ??= error
        else reports.reportOnce(`http-proxy ${name}`, error)
      })
      mayRefuse = false
      return refusal
    },
  }
}

function createServer(options: ProxyServer.ServerOptions): ProxyServer {
  let httpProxy: typeof ProxyServer
  try {
    httpProxy = createRequire(import.meta.url)('http-proxy')
  } catch (error) {
    throw new CanaryError('ERR_CANARY_OPTION', 'httpProxyForwarder needs http-proxy: npm install http-proxy', {
      cause: error,
    })
  }
  return httpProxy.createProxyServer(options)
}
