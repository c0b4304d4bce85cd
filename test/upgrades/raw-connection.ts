import { EventEmitter, once } from 'node:events'
import type { Socket } from 'node:net'

/** A client that sees every byte. */
export interface RawConnection {
  readonly socket: Socket
  readonly text: () => string
  /** Resolves when what came matches; rejects where the connection ends before. */
  until(pattern: RegExp): Promise<RegExpExecArray>
  /** Resolves when as many bytes have come. */
  received(bytes: number): Promise<void>
  /** Resolves with all that came when the gateway has ended the connection. */
  ended(): Promise<string>
}

export function rawConnection(socket: Socket): RawConnection {
  const events = new EventEmitter()
  let text = ''
  let over = false
  socket.on('data', (chunk: Buffer) => {
    text += chunk.toString('latin1')
    events.emit('more')
  })
  for (const event of ['end', 'close']) {
    socket.on(event, () => {
      over = true
      socket.destroy()
      events.emit('more')
    })
  }
  return {
    socket,
    text: () => text,
    async until(pattern) {
      for (;;) {
        const found = pattern.exec(text)
        if (found !== null) return found
        if (over) throw new Error(`the connection ended after ${text.length} bytes: …${text.slice(-1000)}`)
        await once(events, 'more')
      }
    },
    async received(bytes) {
      while (text.length < bytes) await once(events, 'more')
    },
    async ended() {
      for (;;) {
        if (over) return text
        await once(events, 'more')
      }
    },
  }
}

/** The requests that a text answers, in its order: each answer says what it is to. */
export function answersIn(text: string): string[] {
  return [...text.matchAll(/answer to ([^.]*)\./g)].map(([, line = '']) => line.trim())
}
