import { once } from 'node:events'
import { type Socket, connect } from 'node:net'

/** What a client saw of one exchange: every byte, and whether the response was whole. */
export interface Seen {
  readonly status: number | null
  readonly headers: string
  readonly body: string
  /** The body ended as its framing says; false: cut. */
  readonly whole: boolean
  readonly text: string
}

/** Sends bytes and reads until the response is whole or the connection is gone. */
export async function exchange(port: number, bytes: string | Buffer, after?: (socket: Socket) => void): Promise<Seen> {
  const socket = connect(port, '127.0.0.1')
  await once(socket, 'connect')
  let text = ''
  const gone = new Promise<void>((resolve) => {
    socket.on('close', () => resolve())
    socket.on('error', () => {})
  })
  const whole = new Promise<void>((resolve) => {
    socket.on('data', (chunk) => {
      text += chunk.toString('latin1')
      if (parse(text).whole) resolve()
    })
    socket.on('end', () => resolve())
  })
  socket.write(bytes)
  after?.(socket)
  await Promise.race([gone, whole])
  socket.destroy()
  await gone
  return parse(text)
}

/** Reads a response by its framing. Interim responses are passed over. */
export function parse(text: string): Seen {
  const end = text.indexOf('\r\n\r\n')
  const status = Number(/^HTTP\/1\.[01] (\d{3})/.exec(text)?.[1] ?? Number.NaN)
  if (end === -1 || Number.isNaN(status)) return { status: null, headers: '', body: '', whole: false, text }
  const headers = text.slice(0, end).toLowerCase()
  const body = text.slice(end + 4)
  if (status < 200 && status !== 101) return parse(body)
  return { status, headers, body, whole: isWhole(status, headers, body), text }
}

function isWhole(status: number, headers: string, body: string): boolean {
  if (status === 204 || status === 304 || status === 101) return true
  if (/\r\ntransfer-encoding: chunked/.test(headers)) return /(?:^|\r\n)0\r\n(?:[^\r\n]+\r\n)*\r\n$/.test(body)
  const length = /\r\ncontent-length: (\d+)/.exec(headers)?.[1]
  return length !== undefined && body.length >= Number(length)
}
