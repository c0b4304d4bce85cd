import type { Duplex } from 'node:stream'
import { Client } from 'pg'

/**
 * A client whose connection ends where the server sends what is not its protocol. That of `pg` throws then, where its
 * stream is read: nobody could catch it, and the process would end.
 */
export class CarefulClient extends Client {
  constructor(...args: ConstructorParameters<typeof Client>) {
    super(...args)
    const connection: object = this.connection
    const attach: unknown = Reflect.get(connection, 'attachListeners')
    if (typeof attach !== 'function') return
    const attachCarefully = (stream: Duplex): void => {
      Reflect.apply(attach, connection, [stream])
      for (const listener of stream.rawListeners('data')) {
        stream.off('data', listener as Listener)
        stream.on('data', carefully(stream, listener))
      }
    }
    Reflect.set(connection, 'attachListeners', attachCarefully)
  }
}

type Listener = (chunk: unknown) => void

function carefully(stream: Duplex, listener: Function): Listener {
  return (chunk) => {
    try {
      Reflect.apply(listener, stream, [chunk])
    } catch (error) {
      stream.destroy(error instanceof Error ? error : new Error(String(error)))
    }
  }
}
