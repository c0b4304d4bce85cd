import { once } from 'node:events'
import { type IncomingMessage, type ServerResponse, createServer } from 'node:http'
import { createServer as createTlsServer } from 'node:https'
import { type AddressInfo, type Server as NetServer, type Socket, connect } from 'node:net'
import { readFileSync } from 'node:fs'
import { connect as connectTls } from 'node:tls'
import { type Outcome, createRelease } from '@canary-release/core'
import { type NodeHandler, attachUpgrades, createHandler } from '@canary-release/core/node'
import { afterEach, describe, expect, test, vi } from 'vitest'
import { ADAPTERS } from './gateways.js'
import { type RawConnection, rawConnection } from './raw-connection.js'

type Listener = (request: IncomingMessage, response: ServerResponse) => unknown

const pem = (name: string) => readFileSync(new URL(`../../packages/core/test/tls/${name}.pem`, import.meta.url))
const opened: (() => unknown)[] = []
afterEach(async () => {
  vi.useRealTimers()
  for (const close of opened.splice(0).reverse()) await close()
})

async function portOf(server: NetServer): Promise<number> {
  const sockets = new Set<Socket>()
  for (const event of ['connection', 'secureConnection']) server.on(event, (socket: Socket) => sockets.add(socket))
  await once(server.listen(0, '127.0.0.1'), 'listening')
  opened.push(async () => {
    for (const socket of sockets) socket.destroy()
    await new Promise((resolve) => server.close(resolve))
  })
  return (server.address() as AddressInfo).port
}

interface Client extends RawConnection {
  /** Takes the connection away without a goodbye. */
  reset(): void
}

const KINDS: Record<string, (listener: Listener) => Promise<() => Client>> = {
  async plain(listener) {
    const server = createServer(listener)
    attachUpgrades(server, listener)
    const port = await portOf(server)
    return () => {
      const socket = connect(port, '127.0.0.1').on('error', () => {})
      return { ...rawConnection(socket), reset: () => socket.resetAndDestroy() }
    }
  },
  async TLS(listener) {
    const server = createTlsServer({ cert: pem('server'), key: pem('server-key') }, listener)
    attachUpgrades(server, listener)
    const port = await portOf(server)
    return () => {
      const socket = connect(port, '127.0.0.1').on('error', () => {})
      const options = { socket, ca: pem('ca'), servername: 'upstream.test' }
      return { ...rawConnection(connectTls(options).on('error', () => {})), reset: () => socket.resetAndDestroy() }
    }
  },
}

const request = (line: string, ...lines: readonly string[]) =>
  [`${line} HTTP/1.1`, 'Host: gateway', ...lines, '', ''].join('\r\n')
const H2C = request('GET /h2c', 'Connection: Upgrade', 'Upgrade: h2c')
const WEBSOCKET = request('GET /ws', 'Connection: Upgrade', 'Upgrade: websocket')
const MEGABYTE = 1 << 20

describe.each(Object.entries(KINDS))('on a %s server, a request to upgrade to h2c', (_kind, start) => {
  test('waits for a long answer whose client reads slowly, and which is written piece by piece', async () => {
    const pieces = Array.from({ length: 64 }, (_, i) => String.fromCharCode(65 + (i % 26)).repeat(MEGABYTE / 4))
    const open = await start((asked, response) => {
      if (asked.url === '/h2c') return response.end('the second')
      const write = (at: number): void => {
        const piece = pieces[at]
        if (piece === undefined) return void response.end()
        if (response.write(piece)) write(at + 1)
        else response.once('drain', () => write(at + 1))
      }
      response.writeHead(200, { 'content-length': pieces.length * (MEGABYTE / 4) })
      return write(0)
    })
    const client = open()
    client.socket.write(request('GET /long') + H2C + request('GET /third', 'Connection: close'))
    await client.until(/\r\n\r\n/)
    client.socket.pause()
    for (let turn = 0; turn < 100; turn += 1) await new Promise(setImmediate)
    client.socket.resume()
    await client.received(16 * MEGABYTE)
    await client.until(/the second/)
    const text = client.text()
    const from = text.indexOf('\r\n\r\n') + 4
    expect(text.slice(from, from + 16 * MEGABYTE) === pieces.join('')).toBe(true)
    expect(text.slice(from + 16 * MEGABYTE)).toMatch(/^HTTP\/1\.1 200 OK\r\n[^]*\r\n\r\nthe second/)
  })

  test('may be followed by more, in pieces, while it waits', async () => {
    const held: ServerResponse[] = []
    const open = await start((asked, response) => (held.length === 0 ? held.push(response) : response.end(asked.url)))
    const client = open()
    client.socket.write(request('GET /first') + H2C)
    await vi.waitFor(() => expect(held).toHaveLength(1), { interval: 2 })
    const more = Array.from({ length: 40 }, (_, i) => request(`GET /more/${i}/${'x'.repeat(4000)}`)).join('')
    for (let at = 0; at < more.length; at += 1000) {
      client.socket.write(more.slice(at, at + 1000))
      await new Promise(setImmediate)
    }
    held[0]?.end('/first')
    await client.until(/\/more\/39\/x{4000}$/)
    const urls = [...client.text().matchAll(/\r\n\r\n(?:[0-9a-f]+\r\n)?(\/[a-z0-9]+(?:\/\d+)?)/g)].map(([, url]) => url)
    expect(urls).toEqual(['/first', '/h2c', ...Array.from({ length: 40 }, (_, i) => `/more/${i}`)])
  })

  test('is not asked any more behind an answer that ends the connection', async () => {
    const asked: unknown[] = []
    const held: ServerResponse[] = []
    const open = await start(({ url }, response) => {
      asked.push(url)
      held.push(response)
    })
    const client = open()
    client.socket.write(request('GET /first') + H2C)
    await vi.waitFor(() => expect(held).toHaveLength(1), { interval: 2 })
    held[0]?.writeHead(200, { connection: 'close' }).end('the last')
    expect(await client.ended()).toMatch(/the last/)
    expect(asked).toEqual(['/first'])
  })

  test('is cut with everything after ten seconds, and leaves no timer', async () => {
    const held: ServerResponse[] = []
    const open = await start((_asked, response) => held.push(response))
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] })
    const client = open()
    client.socket.write(request('GET /first') + request('GET /queued') + H2C)
    while (held.length < 2 || vi.getTimerCount() === 0) await new Promise(setImmediate)
    const closed = Promise.all(held.map((response) => once(response, 'close')))
    vi.advanceTimersByTime(9999)
    expect(held.map(({ destroyed }) => destroyed)).toEqual([false, false])
    vi.advanceTimersByTime(1)
    await closed
    expect(await client.ended()).toBe('')
    expect(vi.getTimerCount()).toBe(0)
  })

  test.each([
    ['leaves', ({ socket }: Client) => void socket.destroy()],
    ['resets', (client: Client) => client.reset()],
    ['sends no more', ({ socket }: Client) => void socket.end()],
  ])('whose client %s ends everything at once, and leaves no timer', async (_what, act) => {
    const held: ServerResponse[] = []
    const open = await start((_asked, response) => held.push(response))
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] })
    const client = open()
    client.socket.write(request('GET /first') + request('GET /queued') + H2C)
    while (held.length < 2 || vi.getTimerCount() === 0) await new Promise(setImmediate)
    const closed = held.flatMap((response) => [once(response, 'close'), once(response.req, 'close')])
    act(client)
    await Promise.all(closed)
    expect(vi.getTimerCount()).toBe(0)
    expect(held.map(({ destroyed }) => destroyed)).toEqual([true, true])
  })

  test('with a body in pieces is read whole behind an open answer, and answered', async () => {
    const held: ServerResponse[] = []
    const open = await start(async (asked, response) => {
      if (asked.method === 'GET') return held.push(response)
      let body = ''
      for await (const chunk of asked) body += String(chunk)
      return response.end(`got ${body}`)
    })
    const client = open()
    const head = request('POST /h2c', 'Connection: Upgrade', 'Upgrade: h2c', 'Content-Length: 10')
    client.socket.write(`${request('GET /first') + head}hello`)
    await vi.waitFor(() => expect(held).toHaveLength(1), { interval: 2 })
    for (let turn = 0; turn < 20; turn += 1) await new Promise(setImmediate)
    client.socket.write('world')
    held[0]?.end('first.')
    expect(await client.until(/first\.[^]*(got .*)/)).toMatchObject({ 1: expect.stringMatching(/^got helloworld/) })
  })

  test('once for each of 30 requests of a connection is no leak', async () => {
    const warnings: Error[] = []
    const onWarning = (warning: Error) => void warnings.push(warning)
    process.on('warning', onWarning)
    const sockets = new Set<Socket>()
    const open = await start((asked, response) => {
      sockets.add(asked.socket)
      response.end(asked.url)
    })
    const client = open()
    const listeners = () =>
      [...sockets].flatMap((socket) => socket.eventNames().map((name) => socket.listenerCount(name)))
    let before: number[] = []
    for (let i = 0; i < 30; i += 1) {
      client.socket.write(request(`GET /${i}.`, 'Connection: Upgrade', 'Upgrade: h2c'))
      await client.until(new RegExp(`/${i}\\.`))
      if (i === 1) before = listeners()
    }
    expect(listeners()).toEqual(before)
    await new Promise(setImmediate)
    process.off('warning', onWarning)
    expect([sockets.size, warnings]).toEqual([1, []])
  })
})

describe.each(Object.entries(KINDS))('on a %s server, a WebSocket', (_kind, start) => {
  test('behind an answer that is complete, but not yet with its client, waits until it is', async () => {
    const open = await start((asked, response) => {
      if (asked.url !== '/ws') return response.end('x'.repeat(16 * MEGABYTE))
      return response.writeHead(426, { 'content-length': 4 }).end('none')
    })
    const client = open()
    client.socket.write(request('GET /long') + request('GET /again') + WEBSOCKET)
    await client.until(/\r\n\r\n/)
    client.socket.pause()
    for (let turn = 0; turn < 100; turn += 1) await new Promise(setImmediate)
    client.socket.resume()
    const text = await client.ended()
    expect(text.length).toBeGreaterThan(32 * MEGABYTE)
    expect(text).toMatch(/x\n?HTTP\/1\.1 426 [^]*none$/)
    expect(text.match(/HTTP\/1\.1 \d+/g)).toEqual(['HTTP/1.1 200', 'HTTP/1.1 200', 'HTTP/1.1 426'])
  })

  test('that is answered with megabytes gets all of them', async () => {
    const open = await start((_asked, response) => {
      response.writeHead(403, { 'content-length': 8 * MEGABYTE })
      const write = (left: number): void => {
        if (left === 0) return void response.end()
        if (response.write('x'.repeat(MEGABYTE))) write(left - 1)
        else response.once('drain', () => write(left - 1))
      }
      write(8)
    })
    const client = open()
    client.socket.write(WEBSOCKET)
    expect((await client.ended()).split('\r\n\r\n')[1]?.length).toBe(8 * MEGABYTE)
  })

  test('whose client sends no more before it is answered ends its response', async () => {
    const asked: ServerResponse[] = []
    const open = await start((_asked, response) => asked.push(response))
    const client = open()
    client.socket.write(WEBSOCKET)
    await vi.waitFor(() => expect(asked).toHaveLength(1), { interval: 2 })
    const [response] = asked
    if (response === undefined) throw new Error('nobody asked')
    const closed = once(response, 'close')
    client.socket.end()
    await closed
    expect(response.destroyed).toBe(true)
  })
})

describe.each(Object.entries(ADAPTERS))('on %s, an upgrade', (_adapter, start) => {
  test('that its upstream refuses with megabytes gets all of them, and is counted once', async () => {
    const upstream = createServer(
      (_asked, response) =>
        void response.writeHead(403, { 'content-length': 8 * MEGABYTE }).end('~'.repeat(8 * MEGABYTE)),
    )
    const url = `http://127.0.0.1:${await portOf(upstream)}`
    const release = createRelease({ name: 'refused', upstreams: { A: url, B: url }, percentage: 50 })
    const outcomes: Outcome[] = []
    release.on('outcome', (outcome) => void outcomes.push(outcome))
    const gateway = await start(release, 'plain', async () => {}, {})
    opened.push(() => gateway.close())
    const client = rawConnection(gateway.connect())
    client.socket.write(WEBSOCKET)
    const text = await client.ended()
    expect(text.match(/~/g)?.length).toBe(8 * MEGABYTE)
    expect(outcomes).toMatchObject([{ status: 403, aborted: false, error: null }])
  })
})

test('an upgrade that a handler of the application answers is counted when it is over', async () => {
  const handler: NodeHandler = (_request, response) => void response.end('no socket here')
  const release = createRelease({ name: 'handled', upstreams: { A: handler, B: handler } as never, percentage: 50 })
  const outcomes: Outcome[] = []
  release.on('outcome', (outcome) => void outcomes.push(outcome))
  const handle = createHandler(release)
  const server = createServer(handle)
  attachUpgrades(server, handle)
  const port = await portOf(server)
  const client = rawConnection(connect(port, '127.0.0.1'))
  client.socket.write(WEBSOCKET)
  expect(await client.ended()).toMatch(/200 OK[^]*no socket here/)
  await expect.poll(() => outcomes, { interval: 2 }).toMatchObject([{ status: 200, aborted: false, error: null }])
})
