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
