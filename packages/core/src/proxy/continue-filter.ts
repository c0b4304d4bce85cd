import type { Socket } from 'node:net'

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
