import { once } from 'node:events'
import { type AddressInfo, type Socket, createServer } from 'node:net'

/** A raw server that keeps every byte it gets, and answers each whole request with 200 and its target. */
export interface RecordingUpstream extends AsyncDisposable {
  readonly port: number
  /** What came, one text for each connection in the order they were opened. */
  readonly received: string[]
  /** All that came since this was last called. */
  take(): string
}

/** What each mount says of itself, as {@link ofAnyMount} shows it. */
export const PASSED = 'x-canary-via: 00000000'

/** The ids of mounts, which differ in each run, made one. */
export function ofAnyMount(text: string): string {
  return text.replaceAll(/^x-canary-via: [0-9a-f]{8}(?=\r$)/gm, PASSED)
}

const HEAD_END = '\r\n\r\n'

/** `respond` says what is answered to a head. */
export async function startRecordingUpstream(respond: (head: string) => string = echo): Promise<RecordingUpstream> {
  const received: string[] = []
  const sockets = new Set<Socket>()
  const server = createServer((socket) => {
    const index = received.push('') - 1
    sockets.add(socket)
    socket.on('close', () => sockets.delete(socket)).on('error', () => {})
    let pending = ''
    socket.on('data', (chunk) => {
      const text = chunk.toString('latin1')
      received[index] += text
      pending += text
      for (let length = requestLength(pending); length > 0; length = requestLength(pending)) {
        const request = pending.slice(0, length)
        pending = pending.slice(length)
        socket.write(respond(request.slice(0, request.indexOf(HEAD_END) + HEAD_END.length)), 'latin1')
      }
    })
  })
  await once(server.listen(0, '127.0.0.1'), 'listening')
  return {
    port: (server.address() as AddressInfo).port,
    received,
    take: () => {
      const text = ofAnyMount(received.join(''))
      received.fill('')
      return text
    },
    async [Symbol.asyncDispose]() {
      for (const socket of sockets) socket.destroy()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}

function echo(head: string): string {
  const target = head.split(' ', 2)[1] ?? ''
  const body = head.startsWith('HEAD ') ? '' : target
  return `HTTP/1.1 200 OK\r\nContent-Length: ${target.length}\r\n\r\n${body}`
}

/** The length of the first request in `text`; 0 while it is not whole. */
function requestLength(text: string): number {
  const end = text.indexOf(HEAD_END)
  if (end === -1) return 0
  const head = text.slice(0, end)
  const body = end + HEAD_END.length
  if (/\r\ntransfer-encoding: chunked/i.test(head)) {
    const last = text.indexOf('0\r\n\r\n', body)
    return last === -1 ? 0 : last + 5
  }
  const whole = body + Number(/\r\ncontent-length: (\d+)/i.exec(head)?.[1] ?? 0)
  return text.length < whole ? 0 : whole
}
