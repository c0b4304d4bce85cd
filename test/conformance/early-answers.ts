import { once } from 'node:events'
import { type AddressInfo, type Socket, connect, createServer } from 'node:net'
import { createRelease } from '@canary-release/core'
import { expect, test } from 'vitest'
import { parse } from '../faults/raw-client.js'
import type { Stage } from './stage.js'

const SILENT = { info() {}, warn() {}, error() {} }
const UPLOAD = Buffer.alloc(5_000_000, 'u')
const HEAD = `POST / HTTP/1.1\r\nHost: gateway\r\nContent-Length: ${UPLOAD.length}\r\n\r\n`

/** Uploads that an upstream does not take whole. All their clients read when all is sent, as simple ones do. */
export function earlyAnswers({ app, options }: Stage): void {
  /** An upstream that says this at the first bytes, and closes. */
  async function closing(text: string) {
    const sockets = new Set<Socket>()
    const server = createServer((socket) => {
      sockets.add(socket.on('error', () => {}))
      socket.once('data', () => void socket.pause().end(text, () => socket.destroy()))
    })
    await once(server.listen(0, '127.0.0.1'), 'listening')
    return {
      url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
      async [Symbol.asyncDispose]() {
        for (const socket of sockets) socket.destroy()
        await new Promise((resolve) => server.close(resolve))
      },
    }
  }

  async function upload(url: string): Promise<string> {
    const socket = connect(Number(new URL(url).port), '127.0.0.1').pause()
    let error: unknown = null
    socket.on('error', (cause) => (error = cause))
    socket.write(HEAD)
    await new Promise((resolve) => void socket.write(UPLOAD, resolve))
    const text = (await socket.toArray().catch(() => [])).join('')
    // The text alone, where it came in a chunk.
    const { status, body, headers, whole } = parse(text)
    return `${status} ${/^(?:[\da-f]+\r\n)?(.*)/.exec(body)?.[1]} ${whole} ${/\r\nconnection: (\S+)/.exec(headers)?.[1]} ${error}`
  }

  test.each([
    [
      'an early answer reaches its client',
      '413 much true close null',
      'HTTP/1.1 413 Too Large\r\nContent-Length: 4\r\n\r\nmuch',
    ],
    [
      'an upload that breaks without an answer is a 502, which reaches its client',
      '502 ERR_CANARY_UPLOAD: upstream B took no more of the request, and no answer came true close null',
      '',
    ],
  ])('%s, and is nobody’s failure', async (_what, expected, text) => {
    await using upstream = await closing(text)
    const source = options({ upstreams: { A: upstream.url, B: upstream.url }, percentage: 100, logger: SILENT })
    const release = createRelease(source as never)
    const { url } = await app(release)
    for (let run = 0; run < 5; run += 1) expect(await upload(url)).toBe(expected)
    expect(release.status().counts.B).toEqual({ requests: 5, failures: 0 })
  })
}
