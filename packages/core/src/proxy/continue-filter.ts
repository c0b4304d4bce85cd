import type { Socket } from 'node:net'

const CONTINUE = /^HTTP\/1\.[01] 100[ \r][^]*?\r\n\r\n/

/**
 * Takes an upstream's `100 Continue` out of what undici reads, which holds it for a bad response: servers may send one
 * that nobody asked for, and every client must take it. `expected` says whether a response is about to begin.
 *
 * It must come in one piece, as 25 bytes do; in two, undici refuses it as before.
 */
export function skipContinue(socket: Socket, expected: () => boolean): void {
  const read = socket.read.bind(socket)
  socket.read = (size?: number): unknown => {
    const chunk: unknown = read(size)
    if (!Buffer.isBuffer(chunk) || chunk[9] !== 0x31 || !expected()) return chunk
    return withoutContinue(chunk) ?? read(size)
  }
}

function withoutContinue(chunk: Buffer): Buffer | null {
  const [head] = CONTINUE.exec(chunk.toString('latin1', 0, 1024)) ?? ['']
  return head.length === chunk.length ? null : chunk.subarray(head.length)
}
