import { once } from 'node:events'
import { type AddressInfo, type Socket, connect, createServer } from 'node:net'
import { expect, test } from 'vitest'
import { READ_AHEAD, setReadAhead } from '../../src/proxy/undici/socket.js'

const SENT = 8 * 1_048_576

/** A socket to a peer that sends all it can, as undici reads it: piece by piece, when something is there. */
async function sentTo(read: (socket: Socket) => Promise<void>): Promise<void> {
  const server = createServer((peer) => peer.on('error', () => {}).end(Buffer.alloc(SENT)))
  await once(server.listen(0, '127.0.0.1'), 'listening')
  const socket = connect((server.address() as AddressInfo).port)
  setReadAhead(socket, READ_AHEAD)
  try {
    await once(socket, 'connect')
    await read(socket)
  } finally {
    socket.destroy()
    server.close()
  }
}

/** Bytes that a socket holds after a piece was taken from it, once whatever it had asked for has come. */
async function heldAfterPiece(socket: Socket): Promise<number> {
  await once(socket, 'readable')
  socket.read()
  for (let i = 0; i < 50 && socket.readableLength === 0; i += 1) {
    await new Promise((resolve) => setImmediate(resolve))
  }
  return socket.readableLength
}

test('a socket reads one piece ahead of the one that was taken', () =>
  sentTo(async (socket) => expect(await heldAfterPiece(socket)).toBeGreaterThan(0)))

test('a socket that shall not read ahead holds nothing but what is asked for, and gives all of it', () =>
  sentTo(async (socket) => {
    setReadAhead(socket, 0)
    expect(await heldAfterPiece(socket)).toBe(0)
    let bytes = socket.bytesRead
    socket.on('readable', () => {
      for (let piece: unknown = socket.read(); Buffer.isBuffer(piece); piece = socket.read()) bytes += piece.length
    })
    socket.read()
    await once(socket, 'end')
    expect(bytes).toBe(SENT)
  }))

test('a socket that may read ahead again does so', () =>
  sentTo(async (socket) => {
    setReadAhead(socket, 0)
    expect(await heldAfterPiece(socket)).toBe(0)
    setReadAhead(socket, READ_AHEAD)
    socket.read()
    expect(await heldAfterPiece(socket)).toBeGreaterThan(0)
  }))
