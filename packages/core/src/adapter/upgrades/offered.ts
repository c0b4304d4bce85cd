import { type IncomingMessage, ServerResponse } from 'node:http'
import { Duplex } from 'node:stream'
import type { RawRequest } from '../../node-http.js'
import { cutConnection, forgetAnswer, rememberOn } from './open-answers.js'

/** The socket of an upgrade, and what the client sent after its head. */
export interface UpgradeSocket {
  /** The client's socket. */
  readonly socket: Duplex
  /** What the client sent behind the head. */
  readonly head: Buffer
}

/** Kept on the request itself, as its decisions are: nearly all have none. */
const OFFERED = Symbol('canary.upgrade')

interface Offering {
  [OFFERED]?: OfferedUpgrade | undefined
}

/**
 * Takes the socket of a request that asks for an upgrade: from now on nobody but the request's response and its taker
 * has it. `null` for an ordinary request.
 */
export function takeUpgrade(request: RawRequest): UpgradeSocket | null {
  const offering: RawRequest & Offering = request
  return offering[OFFERED]?.take() ?? null
}

/** An upgrade in the hands of an application, with the response that it answers by. */
export class OfferedUpgrade implements UpgradeSocket {
  readonly socket: Duplex
  readonly head: Buffer
  readonly response: ServerResponse
  readonly #request: IncomingMessage & Offering
  #state: 'offered' | 'kept' | 'declined' = 'offered'

  constructor(request: IncomingMessage, socket: Duplex, head: Buffer, responseClass: typeof ServerResponse) {
    this.socket = socket
    this.head = head
    this.response = new responseClass(request)
    this.response.shouldKeepAlive = false
    this.#request = request
    socket.once('end', this.#onEnd)
  }

  /** Lets a canary take the socket for a tunnel. */
  open(): this {
    this.#request[OFFERED] = this
    return this
  }

  take(): UpgradeSocket | null {
    this.keep()
    return this.#state === 'kept' ? this : null
  }

  /** Puts the response on the socket, which the server has let go of: it is the last one there. */
  keep(): this {
    if (this.#state !== 'offered') return this
    this.#state = 'kept'
    const { response, socket } = this
    forgetAnswer(socket, response)
    try {
      assign(response, socket)
    } catch {
      // Somebody else has put an answer there.
      cutConnection(socket)
      return this
    }
    response.on('finish', () => {
      // A tunnel has taken it.
      if (response.socket === null) return
      // What the client sent ahead is for nobody. Unread, it would make the system reset the connection.
      socket.resume()
      socket.end(() => socket.destroy())
    })
    return this
  }

  /**
   * Leaves open who answers until the application has said it: its response gets the socket with its head, or with a
   * tunnel. Where it answers 404 and `hasNext()`, it answers nobody, and `next` is called.
   */
  ask(hasNext: () => boolean, next: () => void): this {
    const { response } = this
    const { writeHead, destroy } = response
    // Where the client leaves meanwhile, the response has no socket that tells it.
    rememberOn(this.socket, response)
    Reflect.set(response, 'writeHead', (...args: readonly unknown[]) => {
      if (this.#state === 'offered' && Number(args[0]) === 404 && hasNext()) this.#decline(next)
      else this.keep()
      return Reflect.apply(writeHead, response, args)
    })
    Reflect.set(response, 'destroy', (...args: readonly unknown[]) => {
      if (!this.socket.destroyed) this.keep()
      return Reflect.apply(destroy, response, args)
    })
    return this
  }

  /** A client that sends no more before it is answered has left, as for Node's servers. A tunnel may be half open. */
  readonly #onEnd = (): void => {
    const answers = this.#state === 'offered' || (this.#state === 'kept' && this.response.socket !== null)
    if (answers && !this.response.writableEnded) this.socket.destroy()
  }

  #decline(next: () => void): void {
    this.#state = 'declined'
    this.#request[OFFERED] = undefined
    const sink = nowhere()
    assign(this.response, sink)
    this.response.once('finish', () => sink.destroy())
    // Not inside the application's own call.
    setImmediate(next)
  }
}

/** Puts a response on a socket that no server looks after. */
function assign(response: ServerResponse, socket: Duplex): void {
  // Typed for net.Socket; node:tls's and HTTP/2's are Duplex streams with all that is used of it.
  response.assignSocket(socket as Parameters<ServerResponse['assignSocket']>[0])
  socket.on('drain', () => {
    if (response.socket !== null && response.writableNeedDrain) response.emit('drain')
  })
}

/** Takes an answer that is for nobody, so that whoever writes it comes to an end. */
function nowhere(): Duplex {
  return new Duplex({ read() {}, write: (_chunk, _encoding, done) => done() })
}
