import type { Socket } from 'node:net'

/**
 * Bytes that a socket may hold unread before it stops reading. Node reads up to 64 KB at a time, so any number above 0
 * keeps one such piece beside the one that is being sent on; 0 costs two system calls more for each piece.
 */
export const READ_AHEAD = 16_384

/**
 * Sets what a socket reads ahead from now on. Node has no public way to do so once it is open; where the private one
 * should be gone, the socket reads ahead as before.
 */
export function setReadAhead(socket: Socket, bytes: number): void {
  const state: unknown = Reflect.get(socket, '_readableState')
  if (typeof state === 'object' && state !== null && 'highWaterMark' in state) state.highWaterMark = bytes
}

const CONTINUE = /^(?:HTTP\/1\.[01] 100[ \r][^]*?\r\n\r\n)+/

/**
 * Takes an upstream's `100 Continue` out of what undici reads, which holds it for a bad response: servers may send one
 * that nobody asked for, and every client must take it. `expected` says whether a response is about to begin.
 *
 * It must come in one piece, as 25 bytes do; in two, undici refuses it as before.
 */
export function skipContinue(socket: Socket, expected: () => boolean): void {
  const read = socket.read.bind(socket)
  socket.read = (size?: number): unknown => {
    let chunk: unknown = read(size)
    while (Buffer.isBuffer(chunk) && chunk[9] === 0x31 && expected()) {
      const [heads] = CONTINUE.exec(chunk.toString('latin1', 0, 1024)) ?? ['']
      if (heads.length < chunk.length) return heads === '' ? chunk : chunk.subarray(heads.length)
      chunk = read(size)
    }
    return chunk
  }
}
