import { EventEmitter } from 'node:events'
import { ServerResponse } from 'node:http'
import { type Duplex, Readable } from 'node:stream'
import type { RawRequest, RawResponse } from '../../node-http.js'

/** The responses of a connection whose turn has not come. Node keeps them where nobody can ask for them. */
const QUEUED = Symbol('canary')

interface Connection extends Duplex {
  [QUEUED]?: Set<ServerResponse>
}

/**
 * Remembers a response that waits for those before it on its connection. Where the client leaves, Node 20 and 22 do not
 * tell it, and no version does once an upgrade or CONNECT has come behind it: it would stay open for ever.
 */
export function rememberAnswer(request: RawRequest, response: RawResponse): void {
  // HTTP/2 has no queue, and would make an object to show a socket.
  if (request.httpVersionMajor > 1) return
  // Node gives it the socket when its turn comes; nearly all have it from the start, and what is asked last takes long.
  if (response.socket !== null || !(response instanceof ServerResponse)) return
  // What is injected for a test may have no connection.
  if (request.socket instanceof EventEmitter) rememberOn(request.socket, response)
}

/** The same for a response that only its caller knows to have no turn yet. */
export function rememberOn(socket: Connection, response: ServerResponse): void {
  const queued = socket[QUEUED] ?? queueOf(socket)
  if (queued.has(response) || response.destroyed) return
  if (socket.destroyed) return endAsLeft(response)
  queued.add(response)
  response.once('close', () => queued.delete(response))
}

/** Forgets a response whose turn has come without Node. */
export function forgetAnswer(socket: Connection, response: ServerResponse): void {
  socket[QUEUED]?.delete(response)
}

function queueOf(socket: Connection): Set<ServerResponse> {
  const queued = new Set<ServerResponse>()
  socket[QUEUED] = queued
  socket.once('close', () => endQueued(socket))
  return queued
}

function endQueued(socket: Connection): void {
  for (const response of socket[QUEUED] ?? []) {
    // Node ends the one that has the socket.
    if (response.socket === null && !response.writableFinished) endAsLeft(response)
  }
}

/** Ends a response that has no socket as if its client had left, and then its request. */
function endAsLeft(response: ServerResponse): void {
  response.destroy()
  process.nextTick(() => {
    if (!response.closed) response.emit('close')
    abort(response)
  })
}

/** The response whose turn it is on a connection; `null` where all that was asked there is answered. */
export function openAnswer(socket: object): ServerResponse | null {
  // No public name says it before `assignSocket` throws. Node and much that is built on it have had this one since 0.4.
  const answer: unknown = Reflect.get(socket, '_httpMessage')
  return answer instanceof ServerResponse ? answer : null
}

/** Whether the answers that are open on a connection are written, and only have to be sent. */
export function isOnlySending(socket: Duplex): boolean {
  const queued = [...((socket as Connection)[QUEUED] ?? [])]
  return openAnswer(socket)?.writableEnded === true && queued.every((response) => response.writableEnded)
}

/** Ends a connection and every answer that is open on it, as if the client had left. */
export function cutConnection(socket: Duplex): void {
  endQueued(socket)
  socket.once('close', () => abortCurrent(socket))
  // It knows from now on, and not when the socket has closed: somebody may be about to send its request on.
  openAnswer(socket)?.destroy()
  socket.destroy()
}

/** Tells the request whose answer had its turn when the socket closed: the server has stopped looking at that. */
function abortCurrent(socket: Duplex): void {
  const current = openAnswer(socket)
  // Not before the response: http-proxy would take it for a failure of the upstream.
  if (current !== null) process.nextTick(abort, current)
}

function abort({ req: request }: ServerResponse): void {
  // What is injected without a connection may be less than a request.
  if (request instanceof Readable) request.destroy()
}

/** What a client may send ahead while its upgrade waits. */
const MOST_AHEAD = 65_536

/**
 * Calls `answered` once nothing is open any more on a connection that Node has let go of for an upgrade, with what the
 * client has sent meanwhile. Where that takes longer than `limitMs`, and where the client sends no more, as Node's
 * servers do, the connection is cut.
 */
export function whenAnswered(socket: Duplex, limitMs: number, answered: (ahead: Buffer[]) => void): void {
  const ahead: Buffer[] = []
  let length = 0
  let current: ServerResponse | null = null
  // Where Node still reads a body from it, the rest is not for us.
  const reads = Reflect.get(socket, 'parser') === null
  if (reads) socket.on('readable', read).on('end', cut)
  socket.on('drain', onDrain).on('close', onClose)
  const timer = setTimeout(cut, limitMs).unref()
  next()

  function next(): void {
    current = socket.destroyed ? null : openAnswer(socket)
    if (current !== null) return void current.once('close', next)
    stop()
    // An answer may have been the connection's last.
    if (!socket.destroyed && !socket.writableEnded) answered(ahead)
  }

  /** Also keeps Node from letting it flow to nobody, when it has room for more requests. */
  function read(): void {
    for (let piece: Buffer | null = null; length < MOST_AHEAD && (piece = socket.read()) !== null;) {
      length += piece.length
      ahead.push(piece)
    }
  }

  /** Node has taken its own listener away, and an answer that waits for the client would wait for ever. */
  function onDrain(): void {
    const answer = openAnswer(socket)
    if (answer?.writableNeedDrain === true) answer.emit('drain')
  }

  function onClose(): void {
    stop()
    abortCurrent(socket)
  }

  function cut(): void {
    stop()
    cutConnection(socket)
  }

  function stop(): void {
    clearTimeout(timer)
    if (reads) socket.off('readable', read).off('end', cut)
    socket.off('drain', onDrain).off('close', onClose)
    current?.off('close', next)
  }
}
