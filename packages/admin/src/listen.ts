import { once } from 'node:events'
import { type Server, createServer } from 'node:http'
import { isLocalName, isLoopback, plainHost } from './loopback.js'
import { handlerOf } from './node-handler.js'
import { type AdminOptions, checkObject, compileOptions, optionError } from './options.js'

/** The options of {@link listenAdmin}. */
export interface ListenOptions extends Omit<AdminOptions, 'basePath'> {
  /**
   * The host name or address to listen on. Anything but loopback needs a token.
   *
   * @default '127.0.0.1'
   */
  readonly host?: string | undefined
  /**
   * The port, 0 … 65 535; 0 takes any free one.
   *
   * @default 8001
   */
  readonly port?: number | undefined
}

/** An Admin API that listens by itself. */
export interface AdminServer {
  /** `http://127.0.0.1:8001`. */
  readonly url: string
  /** Node's server. */
  readonly server: Server
  /** Stops taking connections, and cuts those that are still open after `timeoutMs`. */
  close(): Promise<void>
  /** {@link AdminServer.close}, for `await using`. */
  [Symbol.asyncDispose](): Promise<void>
}

/**
 * Listens with the Admin API. The host that it listens on is an allowed one.
 *
 * Without `token` and `authenticate` it listens on loopback only, and serves this machine's own programs: whoever may
 * run one may change releases. A reverse proxy in front of it needs a token, for one that adds no header looks local.
 *
 * @throws {CanaryError} ERR_CANARY_OPTION, also where it would listen beyond loopback without a token
 * @throws {Error} of `server.listen`: EADDRINUSE …
 */
export async function listenAdmin(options: ListenOptions): Promise<AdminServer> {
  checkObject(options)
  const { host = '127.0.0.1', port = 8001, ...rest } = options
  if (typeof host !== 'string' || host === '') throw optionError('host must be a host name or address')
  if (!Number.isInteger(port) || port < 0 || port > 65_535) throw optionError('port must be between 0 and 65535')
  compileOptions(rest, 'listening')
  const name = plainHost(host)
  if (rest.token === undefined && rest.authenticate === undefined && !isLoopback(name) && !isLocalName(name)) {
    throw optionError(`host must be loopback, such as 127.0.0.1, where there is no token: got ${name.slice(0, 100)}`)
  }
  const own = /^[a-z0-9_.-]+$/.test(name) ? [name] : []
  const compiled = compileOptions({ ...rest, allowedHosts: [...(rest.allowedHosts ?? []), ...own] }, 'listening')
  const { timeoutMs } = compiled
  const handler = handlerOf(compiled)
  const server = createServer(
    { headersTimeout: timeoutMs, requestTimeout: 2 * timeoutMs, connectionsCheckingInterval: 1000 },
    (request, response) => void handler(request, response),
  )
  // Who reads an answer too slowly, or nothing at all, does not keep a connection.
  server.timeout = 4 * timeoutMs
  server.listen({ host: name, port })
  await once(server, 'listening')
  const close = () => closed(server, timeoutMs)
  return { url: urlOf(server, name), server, close, [Symbol.asyncDispose]: close }
}

function urlOf(server: Server, host: string): string {
  const address = server.address()
  const port = typeof address === 'object' && address !== null ? address.port : 0
  return `http://${host.includes(':') ? `[${host}]` : host}:${port}`
}

async function closed(server: Server, timeoutMs: number): Promise<void> {
  if (!server.listening) return
  const end = once(server, 'close')
  server.close()
  server.closeIdleConnections()
  const timer = setTimeout(() => server.closeAllConnections(), timeoutMs)
  await end
  clearTimeout(timer)
}
