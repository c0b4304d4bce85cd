import { IncomingMessage, type Server, ServerResponse, createServer as createHttpServer } from 'node:http'
import { type UpgradeOptions, type UpgradeServer, attachUpgrades as attachListener } from '@canary-release/core/adapter'

/** What is used of an Express 4 or 5 application. */
export interface ExpressApplication {
  (request: IncomingMessage, response: ServerResponse): unknown
  /** The prototype of its requests. */
  readonly request: object
  /** The prototype of its responses. */
  readonly response: object
}

/**
 * Node's server with an Express application, upgrades included. Its requests and responses have the application's
 * prototypes from the start: Express would set them for each request, which on Node 20 makes everything after it slow.
 *
 * @throws {CanaryError} ERR_CANARY_OPTION
 */
export function createServer(app: ExpressApplication, options: UpgradeOptions = {}): Server {
  const classes = {
    IncomingMessage: classWith(IncomingMessage, app.request),
    ServerResponse: classWith(ServerResponse, app.response),
  }
  const server = createHttpServer(classes, (request, response) => void app(request, response))
  const { ServerResponse: responseClass } = classes
  attachListener(server, (request, response) => app(request, response), options, { application: app, responseClass })
  return server
}

/**
 * Runs an application's middlewares for upgrades too, on a server that exists already.
 *
 * @returns a function that detaches it again
 * @throws {CanaryError} ERR_CANARY_OPTION
 */
export function attachUpgrades(
  server: UpgradeServer,
  app: ExpressApplication,
  options: UpgradeOptions = {},
): () => void {
  return attachListener(server, (request, response) => app(request, response), options, { application: app })
}

type NodeClass = typeof IncomingMessage | typeof ServerResponse

/**
 * A class of Node's whose instances have `prototype`, the very object that Express would give them: setting the
 * prototype that is there already costs nothing.
 *
 * V8 sizes an object by its constructor and those that the constructor inherits from. Without that chain the fields of
 * Node's classes do not fit, and V8 turns every response (from Node 24 every request too) into a slow dictionary.
 */
function classWith<Class extends NodeClass>(base: Class, prototype: object): Class {
  // Node's own classes are functions to this day, so that they may be called on another object.
  function Derived(this: object, ...parameters: unknown[]) {
    Reflect.apply(base, this, parameters)
  }
  Derived.prototype = prototype
  Object.setPrototypeOf(Derived, base)
  return Derived as unknown as Class
}
