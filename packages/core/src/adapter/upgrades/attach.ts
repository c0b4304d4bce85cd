import { type IncomingMessage, type Server, ServerResponse } from 'node:http'
import type { Http2SecureServer } from 'node:http2'
import type { Server as SecureServer } from 'node:https'
import { type UpgradeOptions, compileClaims } from './claims.js'
import { dispatcherOf } from './dispatcher.js'

/** A server whose clients may ask for upgrades; one of HTTP/2, where it allows HTTP/1 too. */
export type UpgradeServer = Server | SecureServer | Http2SecureServer

/** What listens for a server's requests. */
export type RequestListener = (request: IncomingMessage, response: ServerResponse) => unknown

/** What an adapter says of the application that it attaches. */
export interface AttachedApplication {
  /** The application, where `listener` is made anew each time: one that is attached twice is asked once. @default listener */
  readonly application?: object | undefined
  /** The class of the responses: a framework's own, where it sets prototypes. @default ServerResponse */
  readonly responseClass?: typeof ServerResponse | undefined
  /** False where the framework has no option `upgrades` that a warning could name. @default true */
  readonly warns?: boolean | undefined
}

/**
 * Runs an application for upgrades too, so that they pass the same authentication as every request. A raw `upgrade`
 * event has seen no middleware: here the application gets it with a response on the socket. Where a canary takes the
 * request, the socket is tunnelled; where nobody does, the application's ordinary answer is sent and the connection
 * closed. An upgrade to HTTP/2 or TLS, which would lead around the application, is an ordinary request. One that is
 * sent before the answers to earlier requests of its connection are complete ends the connection: the client asks again.
 *
 * Other listeners of the server's `upgrade` event get what the option `upgrades` does not claim.
 *
 * @returns a function that detaches it again
 * @throws {CanaryError} ERR_CANARY_OPTION
 */
export function attachUpgrades(
  server: UpgradeServer,
  listener: RequestListener,
  options: UpgradeOptions = {},
  { application = listener, responseClass = ServerResponse, warns = true }: AttachedApplication = {},
): () => void {
  const claim = compileClaims(options)
  return dispatcherOf(server).attach({ key: application, listener, responseClass, claim, warns })
}
