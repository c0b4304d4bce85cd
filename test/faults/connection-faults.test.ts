import { once } from 'node:events'
import { createServer as createHttpServer } from 'node:http'
import { type AddressInfo, type Server, type Socket, connect, createServer } from 'node:net'
import { afterEach, describe, expect, test } from 'vitest'
import { GATEWAYS, type Gateway, optionsFor } from './gateways.js'
import { exchange } from './raw-client.js'

const opened: (() => Promise<unknown> | void)[] = []
const unhandled: unknown[] = []
process.on('uncaughtExceptionMonitor', (error) => void unhandled.push(error))
process.on('unhandledRejection', (error) => void unhandled.push(error))

afterEach(async () => {
  for (const close of opened.splice(0).reverse()) await close()
  expect(unhandled).toEqual([])
})

interface Upstream {
  readonly url: string
  readonly sockets: Set<Socket>
  readonly connected: () => Promise<Socket>
}

async function upstream(onSocket: (socket: Socket) => void): Promise<Upstream> {
  const sockets = new Set<Socket>()
  const server: Server = createServer((socket) => {
    sockets.add(socket)
    socket.on('close', () => sockets.delete(socket)).on('error', () => {})
    onSocket(socket)
  })
  await once(server.listen(0, '127.0.0.1'), 'listening')
  opened.push(() => {
    for (const socket of sockets) socket.destroy()
    return new Promise((resolve) => server.close(resolve))
  })
  const connected = async (): Promise<Socket> => {
    const [socket] = sockets
    return socket ?? ((await once(server, 'connection')) as [Socket])[0]
  }
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, sockets, connected }
}

async function refusedUrl(): Promise<string> {
  const server = createServer()
  await once(server.listen(0, '127.0.0.1'), 'listening')
  const { port } = server.address() as AddressInfo
  await new Promise((resolve) => server.close(resolve))
  return `http://127.0.0.1:${port}`
}

const get = (path: string, headers = '') => `GET ${path} HTTP/1.1\r\nHost: gateway\r\n${headers}\r\n`
const upgrade = (path: string) =>
  get(path, 'Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: x\r\n')

for (const [framework, start] of Object.entries(GATEWAYS)) {
  const gatewayTo = async (url: string): Promise<Gateway> => {
    const gateway = await start(optionsFor({ A: url, B: url }))
    opened.push(() => gateway.close())
    return gateway
  }

  describe(`connections of ${framework}`, () => {
    test('refused: 502', async () => {
      const { port } = await gatewayTo(await refusedUrl())
      expect((await exchange(port, get('/'))).status).toBe(502)
    })

    test('a name that does not resolve: 502', async () => {
      const { port } = await gatewayTo('http://upstream.invalid')
      expect((await exchange(port, get('/'))).status).toBe(502)
    })

    test('TLS that is none: 502', async () => {
      const { url } = await upstream((socket) => socket.end('HTTP/1.1 400 Bad Request\r\n\r\n'))
      const { port } = await gatewayTo(url.replace('http:', 'https:'))
      expect((await exchange(port, get('/'))).status).toBe(502)
    })

    test('TLS that never answers: 504', async () => {
      const { url } = await upstream(() => {})
      const gateway = await start(
        optionsFor({ A: url.replace('http:', 'https:'), B: url }, { percentage: 0, proxy: { connectTimeoutMs: 300 } }),
      )
      opened.push(() => gateway.close())
      expect((await exchange(gateway.port, get('/'))).status).toBe(504)
    })

    test('an upgrade that is refused: the answer is passed on, and the connection closed', async () => {
      const { url } = await upstream((socket) =>
        socket.once('data', () => socket.end('HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno')),
      )
      const { port } = await gatewayTo(url)
      const seen = await exchange(port, upgrade('/'))
      expect([seen.status, seen.body, seen.whole]).toEqual([403, 'no', true])
    })

    test('an upgrade that is reset: 502', async () => {
      const { url } = await upstream((socket) => socket.once('data', () => socket.resetAndDestroy()))
      const { port } = await gatewayTo(url)
      expect((await exchange(port, upgrade('/'))).status).toBe(502)
    })

    test('an upgrade that is never answered: 504', async () => {
      const { url } = await upstream(() => {})
      const { port } = await gatewayTo(url)
      expect((await exchange(port, upgrade('/'))).status).toBe(504)
    })

    test('a tunnel that the upstream resets: the client is cut, and nobody else', async () => {
      const { url } = await upstream((socket) =>
        socket.once('data', () => {
          socket.write('HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n')
          socket.once('data', () => socket.resetAndDestroy())
        }),
      )
      const { port } = await gatewayTo(url)
      const client = connect(port, '127.0.0.1', () => client.write(upgrade('/')))
      client.on('error', () => {})
      expect(String(((await once(client, 'data')) as [Buffer])[0])).toMatch(/^HTTP\/1\.1 101 /)
      client.write('ping')
      await once(client, 'close')
    })

    test('a client that resets during the handshake of an upgrade: the upstream is let go', async () => {
      const fake = await upstream((socket) => socket.resume())
      const { port } = await gatewayTo(fake.url)
      const client = connect(port, '127.0.0.1', () => client.write(upgrade('/')))
      client.on('error', () => {})
      const socket = await fake.connected()
      client.resetAndDestroy()
      await expect.poll(() => socket.destroyed || socket.readableEnded).toBe(true)
    })

    test.for([
      ['before the head', ''],
      ['after the head', 'HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n'],
      ['in the body', 'HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello'],
    ] as const)('a client that leaves %s: the upstream is let go', async ([, text], { expect }) => {
      const fake = await upstream((socket) => socket.once('data', () => text !== '' && socket.write(text)))
      const { port } = await gatewayTo(fake.url)
      const client = connect(port, '127.0.0.1', () => client.write(get('/')))
      client.on('error', () => {})
      const socket = await fake.connected()
      if (text === '') await once(socket, 'data')
      else await once(client, 'data')
      client.destroy()
      await expect.poll(() => socket.destroyed || socket.readableEnded).toBe(true)
    })

    test('a client that leaves while it sends its body: the upstream is let go', async () => {
      const fake = await upstream((socket) => socket.resume())
      const { port } = await gatewayTo(fake.url)
      const client = connect(port, '127.0.0.1', () =>
        client.write('POST / HTTP/1.1\r\nHost: gateway\r\nContent-Length: 1000\r\n\r\nhello'),
      )
      client.on('error', () => {})
      const socket = await fake.connected()
      client.destroy()
      await expect.poll(() => socket.destroyed || socket.readableEnded).toBe(true)
    })

    test('a client that stalls its upload is cut off, and so is the upstream', async () => {
      const fake = await upstream((socket) => socket.resume())
      const { port } = await gatewayTo(fake.url)
      const seen = await exchange(port, 'POST / HTTP/1.1\r\nHost: gateway\r\nContent-Length: 1000\r\n\r\nhello')
      expect([null, 400, 408, 504]).toContain(seen.status)
      await expect.poll(() => fake.sockets.size).toBe(0)
    })

    test('a client that reads slowly gets all of it', async () => {
      const body = Buffer.alloc(3_000_000, 'x')
      const server = createHttpServer((_request, response) => response.end(body))
      await once(server.listen(0, '127.0.0.1'), 'listening')
      opened.push(() => (server.closeAllConnections(), new Promise((resolve) => server.close(resolve))))
      const { port } = await gatewayTo(`http://127.0.0.1:${(server.address() as AddressInfo).port}`)
      const client = connect(port, '127.0.0.1', () => client.write(get('/', 'Connection: close\r\n')))
      let bytes = 0
      for await (const chunk of client) {
        bytes += (chunk as Buffer).length
        // A turn of the loop between reads: the response backs up all the way to the upstream.
        await new Promise((resolve) => setImmediate(resolve))
      }
      expect(bytes).toBeGreaterThan(body.length)
    })

    test('10 000 clients that leave at once: no socket stays', { timeout: 120_000 }, async () => {
      const fake = await upstream((socket) => socket.resume())
      const { port } = await gatewayTo(fake.url)
      for (let round = 0; round < 100; round += 1) {
        await Promise.all(
          Array.from({ length: 100 }, async () => {
            const client = connect(port, '127.0.0.1', () => client.write(get('/'), () => client.resetAndDestroy()))
            client.on('error', () => {})
            await once(client, 'close')
          }),
        )
      }
      await expect.poll(() => fake.sockets.size, { timeout: 20_000 }).toBe(0)
    })
  })
}
