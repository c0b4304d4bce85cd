import { type IncomingMessage, type Server, ServerResponse } from 'node:http'
import type { Server as SecureServer } from 'node:https'
import type { Duplex } from 'node:stream'
import { isUpgradeIgnored } from '../proxy/upgrade/request.js'
import { bringsBody, readAgain, serveAsOrdinary } from './ignored-upgrades.js'

/** The socket of an upgrade, and what the client sent after its head. */
export interface UpgradeSocket {
  readonly socket: Duplex
  readonly head: Buffer
}

const upgrades = new WeakMap<object, UpgradeSocket>()

/** The socket of a request that asks for an upgrade; `null` for an ordinary request. */
export function upgradeOf(request: object): UpgradeSocket | null {
  return upgrades.get(request) ?? null
}

type RequestListener = (request: IncomingMessage, response: ServerResponse) => unknown

export interface AttachOptions {
  /** Which upgrades are taken; the others are left to the server's other listeners. @default all */
  readonly accepts?: ((request: IncomingMessage) => boolean) | undefined
  /** The class of the responses: a framework's own, where it sets prototypes. @default ServerResponse */
  readonly responseClass?: typeof ServerResponse | undefined
}

/**
 * Runs an application for upgrades too, so that they pass the same authentication as every request. A raw `upgrade`
 * event has seen no middleware: here the application gets it with a response on the socket. Where a canary takes the
 * request, the socket is tunnelled; where nobody does, the application's ordinary answer is sent and the connection
 * closed. An upgrade to HTTP/2 or TLS, which would lead around the application, is an ordinary request.
 *
 * @returns a function that detaches it again
 */
export function attachUpgrades(
  server: Server | SecureServer,
  listener: RequestListener,
  { accepts = () => true, responseClass = ServerResponse }: AttachOptions = {},
): () => void {
  const onUpgrade = (request: IncomingMessage, socket: Duplex, head: Buffer) => {
    // Where nobody else listens, an upgrade that is not taken must be answered all the same.
    if (!accepts(request) && server.listenerCount('upgrade') > 1) return
    const ignored = isUpgradeIgnored(request)
    if (ignored && readAgain(server, request, socket, head)) return
    // A reset while the application still thinks must not be an uncaught error.
    socket.on('error', () => socket.destroy())
    const response = new responseClass(request)
    if (ignored && bringsBody(request)) {
      answerOn(response, request.socket)
      serveAsOrdinary(request, response, socket)
    } else {
      upgrades.set(request, { socket, head })
      answerOn(response, socket)
    }
    listener(request, response)
  }
  server.on('upgrade', onUpgrade)
  return () => server.off('upgrade', onUpgrade)
}

/** Puts a response on a socket that the server has let go of: it is the last one there. */
function answerOn(response: ServerResponse, socket: Duplex): void {
  response.shouldKeepAlive = false
  // Typed for net.Socket; node:tls's and HTTP/2's are Duplex streams with all that is used of it.
  response.assignSocket(socket as Parameters<ServerResponse['assignSocket']>[0])
  response.on('finish', () => {
    if (response.socket === null) return
    response.detachSocket(socket as Parameters<ServerResponse['assignSocket']>[0])
    // What the client sent ahead is for nobody. Unread, it would make the system reset the connection.
    socket.resume()
    socket.end(() => socket.destroy())
  })
}
