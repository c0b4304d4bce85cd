import { once } from 'node:events'
import net, { type Socket } from 'node:net'
import { Worker } from 'node:worker_threads'
import { describe, expect, test } from 'vitest'
import { httpProxyForwarder } from '../../src/proxy/http-proxy/forwarder.js'
import type { ProxyOptions } from '../../src/proxy/options.js'
import { type Gateway, gateway, rawUpstream, testRelease, urlUpstream } from './harness.js'

// An upstream that closes connections which it said to keep: what must not be sent twice must not be lost there.

const ANSWER = 'HTTP/1.1 200 OK\r\nConnection: keep-alive\r\nContent-Length: 2\r\n\r\nok'
const GET = 'GET / HTTP/1.1\r\nHost: x\r\n\r\n'
const POST = 'POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\nbody'

const FORWARDERS: [string, () => ProxyOptions][] = [
  ['undici', () => ({})],
  ['http-proxy', () => ({ forwarder: httpProxyForwarder() })],
]

/** Calls `asked` with each request that has come whole. */
const onRequests = (asked: (socket: Socket, method: string) => void) =>
  rawUpstream((socket) => {
    let text = ''
    socket.on('data', (data: Buffer) => {
      text += data.toString('latin1')
      const end = text.indexOf('\r\n\r\n')
      if (end === -1 || (/\r\ncontent-length: 4/i.test(text) && text.length < end + 8)) return
      const method = text.split(' ', 1)[0] ?? ''
      text = ''
      asked(socket, method)
    })
  })

/** Sends the same request again and again on one connection, and returns how many were not answered 200. */
async function repeat({ port }: Gateway, request: string, times: number): Promise<number> {
  const client = net.connect(port, '127.0.0.1')
  await once(client, 'connect')
  let left = times
  let failed = 0
  let text = ''
  return new Promise((resolve, reject) => {
    client.on('error', reject)
    client.on('data', (data: Buffer) => {
      text += data.toString('latin1')
      const end = text.indexOf('\r\n\r\n')
      const length = Number(/\r\ncontent-length: (\d+)/i.exec(text)?.[1] ?? 0)
      if (end === -1 || text.length < end + 4 + length) return
      if (!text.startsWith('HTTP/1.1 200 ')) failed += 1
      text = ''
      left -= 1
      if (left > 0) return void client.write(request)
      client.destroy()
      resolve(failed)
    })
    client.write(request)
  })
}

/** In a thread of its own, as upstreams are elsewhere: its answer is read before it has closed. */
const CLOSING = `
  const { createServer } = require('node:net')
  const { parentPort } = require('node:worker_threads')
  const server = createServer((socket) => {
    let text = ''
    socket.on('error', () => {}).on('data', (data) => {
      text += data
      if (text.length >= text.indexOf('\\r\\n\\r\\n') + 8 && text.endsWith('body')) socket.end(${JSON.stringify(ANSWER)})
    })
  })
  server.listen(0, '127.0.0.1', () => parentPort.postMessage(server.address().port))
`

async function closingUpstream() {
  const worker = new Worker(CLOSING, { eval: true })
  const [port] = (await once(worker, 'message')) as [number]
  return {
    port,
    async [Symbol.asyncDispose]() {
      await worker.terminate()
    },
  }
}

describe.each(FORWARDERS)('by %s, an upstream', (_name, forwarder) => {
  test.each([
    [1, 256, 2000],
    [6, 256, 4000],
    [64, 256, 3000],
    [64, 8, 1000],
  ])(
    'that closes behind each answer loses no POST, %d at a time over %d connections',
    async (clients, connections, times) => {
      await using upstream = await closingUpstream()
      const proxy = { ...forwarder(), connections }
      await using front = await gateway(testRelease({ B: urlUpstream('B', upstream.port), proxy }))
      const each = Math.ceil(times / clients)
      const failed = await Promise.all(Array.from({ length: clients }, () => repeat(front, POST, each)))
      expect(failed.filter((count) => count > 0)).toEqual([])
    },
    120_000,
  )
})

/** Connections that a number of POSTs, one after another, were sent on. */
async function connectionsOf(front: Gateway, opened: () => number, posts: number): Promise<number> {
  const before = opened()
  expect(await repeat(front, POST, posts)).toBe(0)
  return opened() - before
}

describe.each(FORWARDERS)('by %s, an upstream', (_name, forwarder) => {
  test('that keeps its connections gets POSTs on them, again after it had closed one', async () => {
    let opened = 0
    let closes = false
    await using upstream = await onRequests((socket) => {
      opened += socket.bytesWritten === 0 ? 1 : 0
      if (closes) socket.end(ANSWER)
      else socket.write(ANSWER)
    })
    await using front = await gateway(
      testRelease({ B: urlUpstream('B', upstream.port), proxy: { ...forwarder(), connections: 4 } }),
    )
    // Repeated GETs show that it does.
    expect(await repeat(front, GET, 20)).toBe(0)
    expect(await connectionsOf(front, () => opened, 100)).toBeLessThanOrEqual(3)
    closes = true
    await repeat(front, GET, 3)
    expect(await connectionsOf(front, () => opened, 20)).toBe(20)
    expect(upstream.sockets.size).toBeLessThanOrEqual(4)
  })
})
