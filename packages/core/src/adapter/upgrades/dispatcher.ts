import type { EventEmitter } from 'node:events'
import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Duplex } from 'node:stream'
import { isUpgradeIgnored } from '../../proxy/upgrade/request.js'
import { readAgain } from './ignored.js'
import { OfferedUpgrade } from './offered.js'
import { cutConnection, isOnlySending, openAnswer, rememberAnswer, whenAnswered } from './open-answers.js'
import type { Claim } from './claims.js'

/** An application that is run for a server's upgrades. */
export interface UpgradeApplication {
  /** What it is known by: one that was attached twice is asked once. */
  readonly key: object
  readonly listener: (request: IncomingMessage, response: ServerResponse) => unknown
  readonly responseClass: typeof ServerResponse
  /** Which upgrades are its alone; `null`: nobody said. */
  readonly claim: Claim | null
  /** There is an option that says it, and a warning that names it. */
  readonly warns: boolean
}

const UPGRADE = 'upgrade'
/** How long an upgrade that is no upgrade waits for the answers before it. */
const PATIENCE_MS = 10_000
const WARNING = { type: 'CanaryWarning', code: 'CANARY_UPGRADES' }
const SHARED =
  "others listen for this server's upgrades too: say with the option `upgrades` which are the canary's, as in createServer(app, { upgrades: '/orders' }). Until then the application is asked first, and what it answers 404 is theirs"
const FAILED = 'the function `upgrades` threw, or returned neither true nor false: the upgrade is answered 500'

const dispatchers = new WeakMap<object, UpgradeDispatcher>()

/** The one of a server. Listeners side by side would each answer on the same socket. */
export function dispatcherOf(server: EventEmitter): UpgradeDispatcher {
  const known = dispatchers.get(server)
  if (known !== undefined) return known
  const created = new UpgradeDispatcher(server)
  dispatchers.set(server, created)
  return created
}

/** Says who gets an upgrade of one server: an application of a canary, or the server's other listeners. */
class UpgradeDispatcher {
  readonly #server: EventEmitter
  readonly #applications: UpgradeApplication[] = []
  readonly #warned = new Set<string>()
  #emit: TakenEmit | null = null
  /** The upgrade that the other listeners are just getting. */
  #passing: object | null = null

  constructor(server: EventEmitter) {
    this.#server = server
  }

  /** Adds an application; returns the function that takes it away again, and with the last one everything else. */
  attach(application: UpgradeApplication): () => void {
    this.#emit ??= takeEmit(this.#server, this.#onEvent)
    this.#applications.push(application)
    // Node takes no upgrade where nobody listens.
    if (!this.#isListening()) this.#server.on(UPGRADE, this.#listener)
    return () => {
      const at = this.#applications.indexOf(application)
      if (at === -1) return
      this.#applications.splice(at, 1)
      if (this.#applications.length > 0) return
      this.#server.off(UPGRADE, this.#listener)
      this.#emit?.restore()
      this.#emit = null
    }
  }

  readonly #onEvent = (event: unknown, request: unknown, second: unknown, head: unknown): boolean => {
    if (event === 'request' || event === 'checkContinue' || event === 'checkExpectation') {
      rememberAnswer(request as IncomingMessage, second as ServerResponse)
    }
    if (event !== UPGRADE) return false
    this.#dispatch(request as IncomingMessage, second as Duplex, head as Buffer)
    return true
  }

  /** Stands for the applications among the listeners. It has nothing to do where the upgrade came through `emit`. */
  readonly #listener = (request: IncomingMessage, socket: Duplex, head: Buffer): void => {
    if (this.#passing === request) {
      // Somebody has taken it off the server, to call it for what is not his.
      if (!this.#isListening()) this.#answer(this.#applications[0], request, socket, head)
    } else if (!this.#hasOthers() || this.#claimant(request) !== null) {
      // Emitted by one who had `emit` before it was taken: the others are getting it anyway.
      this.#dispatch(request, socket, head)
    }
  }

  #isListening(): boolean {
    return this.#server.listeners(UPGRADE).includes(this.#listener)
  }

  #hasOthers(): boolean {
    return this.#server.listeners(UPGRADE).some((listener) => listener !== this.#listener)
  }

  #dispatch(request: IncomingMessage, socket: Duplex, head: Buffer): void {
    // Node has taken its own away. A reset while somebody still thinks must not be an uncaught error.
    if (!socket.listeners('error').includes(destroyFailed)) socket.on('error', destroyFailed)
    if (this.#isBehindAnother(request, socket, head)) return
    const claimant = this.#claimant(request)
    if (claimant === 'failed') return refuse(socket)
    if (claimant !== null) return this.#answer(claimant, request, socket, head)
    const open = this.#unclaiming()
    if (open.length > 0) this.#ask(open, request, socket, head)
    else if (this.#hasOthers()) this.#pass(request, socket, head)
    else this.#answer(this.#applications[0], request, socket, head)
  }

  /**
   * Whether answers are still open on the connection: what is written now would stand in their place. They are ended
   * and the client asks again, as after any connection that closes (RFC 9112, 9.3.2), and as Node does for CONNECT.
   * What is answered like any request may wait, and so may what comes behind answers that only have to be sent.
   */
  #isBehindAnother(request: IncomingMessage, stream: Duplex, head: Buffer): boolean {
    const socket = request.socket ?? stream
    if (openAnswer(socket) === null) return false
    if (!isUpgradeIgnored(request) && !isOnlySending(socket)) {
      cutConnection(socket)
      return true
    }
    whenAnswered(socket, PATIENCE_MS, (ahead) => {
      // Node reads its body, and gave a stream of its own for what follows.
      if (stream !== socket) this.#dispatch(request, stream, head)
      else if (!readAgain(this.#server, request, socket, Buffer.concat([head, ...ahead]), true)) cutConnection(socket)
    })
    return true
  }

  #claimant(request: IncomingMessage): UpgradeApplication | null | 'failed' {
    try {
      return this.#applications.find(({ claim }) => claim !== null && isTrue(claim(request))) ?? null
    } catch (error) {
      this.#warn(`${FAILED} (${error instanceof Error ? error.message : 'no error'})`, FAILED)
      return 'failed'
    }
  }

  /** The applications that did not say which upgrades are theirs, each once. */
  #unclaiming(): UpgradeApplication[] {
    const seen = new Set<object>()
    return this.#applications.filter(({ claim, key }) => claim === null && !seen.has(key) && seen.add(key))
  }

  /** Asks one application after another, and leaves to the other listeners what none of them knows. */
  #ask(applications: readonly UpgradeApplication[], request: IncomingMessage, socket: Duplex, head: Buffer): void {
    const [application, ...rest] = applications
    if (application === undefined) return this.#pass(request, socket, head)
    const hasNext = () => rest.length > 0 || this.#hasOthers()
    if (!hasNext()) return this.#answer(application, request, socket, head)
    if (this.#isRead(request, socket, head)) return
    if (application.warns && this.#hasOthers()) this.#warn(SHARED)
    const { url = '' } = request
    const offer = new OfferedUpgrade(request, socket, head, application.responseClass).open().ask(hasNext, () => {
      request.url = url
      this.#ask(rest, request, socket, head)
    })
    application.listener(request, offer.response)
  }

  /** Runs an application whose answer is the only one. */
  #answer(application: UpgradeApplication | undefined, request: IncomingMessage, socket: Duplex, head: Buffer): void {
    // They were all detached while it waited.
    if (application === undefined) return void socket.destroy()
    if (socket.destroyed || this.#isRead(request, socket, head)) return
    const offer = new OfferedUpgrade(request, socket, head, application.responseClass).keep()
    // With a body that Node reads itself, it is a request like any other, and the connection's last.
    if (socket === request.socket || !isUpgradeIgnored(request)) offer.open()
    else if (/^100-continue$/i.test(request.headers.expect ?? '')) offer.response.writeContinue()
    application.listener(request, offer.response)
  }

  #isRead(request: IncomingMessage, socket: Duplex, head: Buffer): boolean {
    return isUpgradeIgnored(request) && readAgain(this.#server, request, socket, head, false)
  }

  /** Leaves an upgrade to the other listeners, as if no application were attached. */
  #pass(request: IncomingMessage, socket: Duplex, head: Buffer): void {
    if (socket.destroyed) return
    const before = this.#passing
    this.#passing = request
    try {
      // Detached meanwhile, the emitter is as it was.
      if (this.#emit === null) this.#server.emit(UPGRADE, request, socket, head)
      else this.#emit.further([UPGRADE, request, socket, head])
    } finally {
      this.#passing = before
    }
  }

  #warn(message: string, once = message): void {
    if (this.#warned.has(once)) return
    this.#warned.add(once)
    process.emitWarning(message, WARNING)
  }
}

function isTrue(claimed: unknown): boolean {
  if (typeof claimed === 'boolean') return claimed
  if (claimed instanceof Promise) claimed.catch(() => {})
  throw new TypeError(`it returned a ${claimed instanceof Promise ? 'promise' : typeof claimed}`)
}

function destroyFailed(this: Duplex): void {
  this.destroy()
}

function refuse(socket: Duplex): void {
  socket.resume()
  socket.end('HTTP/1.1 500 Internal Server Error\r\nConnection: close\r\nContent-Length: 0\r\n\r\n', () =>
    socket.destroy(),
  )
}

type Arguments = readonly unknown[]

/** The `emit` of one emitter, in the hands of somebody who sees its events first. */
interface TakenEmit {
  /** Emits as if nobody had taken it. */
  further(args: Arguments): boolean
  /** Gives it back. */
  restore(): void
}

/** Shows each event of an emitter before its listeners get it; they do not where `takes` says true. */
function takeEmit(
  emitter: EventEmitter,
  takes: (event: unknown, first: unknown, second: unknown, third: unknown) => boolean,
): TakenEmit {
  const own = Object.getOwnPropertyDescriptor(emitter, 'emit')
  const before = own === undefined ? null : emitter.emit
  let active = true

  /** Asked for each time: tracing puts its own on the prototype, maybe later. */
  function inherited(): EventEmitter['emit'] {
    const { emit }: EventEmitter = Object.getPrototypeOf(emitter)
    return emit
  }

  // Every request comes by here: one by one, the arguments need no array of their own.
  const emit = (...args: Arguments): boolean =>
    (active && takes(args[0], args[1], args[2], args[3])) || Reflect.apply(before ?? inherited(), emitter, args)
  Object.defineProperty(emitter, 'emit', { value: emit, configurable: true, writable: true, enumerable: false })
  return {
    further: (args) => Reflect.apply(before ?? inherited(), emitter, args),
    restore: () => {
      active = false
      // Somebody else may have put his own before it meanwhile.
      if (Reflect.get(emitter, 'emit') !== emit) return
      if (own === undefined) Reflect.deleteProperty(emitter, 'emit')
      else Object.defineProperty(emitter, 'emit', own)
    },
  }
}
