import { once } from 'node:events'
import { type IncomingMessage, type Server, type ServerResponse, createServer } from 'node:http'
import { type AddressInfo, type Socket, connect } from 'node:net'
import { httpProxyForwarder } from '@canary-release/core/http-proxy'
import { afterEach, describe, expect, test } from 'vitest'
import { GATEWAYS, type GatewayOptions, optionsFor, statusesOf } from './gateways.js'

// Java's HttpClient asks for h2c with its first request, a POST too, and sends the body in packets of its own. Node 26
// and later read that body as any other; before, they give its bytes out as those of the upgrade.

/** What follows the body is another protocol's to Node 26, so that the connection ends with the answer. */
const nodeReadsBodiesOfUpgrades = Number(process.versions.node.split('.', 1)[0]) >= 26

const SECOND = 'GET /second HTTP/1.1\r\nHost: gateway\r\nConnection: close\r\n\r\n'
const MEGABYTE = 1_048_576

const head = (...lines: readonly string[]) =>
  ['POST /a HTTP/1.1', 'Host: gateway', 'Connection: Upgrade', 'Upgrade: h2c', ...lines, '', ''].join('\r\n')

const closing: (() => unknown)[] = []
afterEach(async () => {
  for (const close of closing.splice(0).reverse()) await close()
})

const TIMEOUTS = { headersTimeoutMs: 5000, bodyTimeoutMs: 5000 } as const

interface Seen {
  readonly request: IncomingMessage
  readonly response: ServerResponse
}

interface Client {
  readonly socket: Socket
  readonly text: () => string
  readonly closed: Promise<unknown>
}

type Start = (options: GatewayOptions) => ReturnType<(typeof GATEWAYS)[string]>

async function stage(start: Start) {
  const heads: Seen[] = []
  const waiting: ((seen: Seen) => void)[] = []
  const upstream: Server = createServer((request, response) => {
    const seen = { request, response }
    const next = waiting.shift()
    if (next === undefined) heads.push(seen)
    else next(seen)
  })
  await once(upstream.listen(0, '127.0.0.1'), 'listening')
  closing.push(() => {
    upstream.closeAllConnections()
    upstream.close()
  })
  const url = `http://127.0.0.1:${(upstream.address() as AddressInfo).port}`
  // The hook runs when a head is sent on, which undici does not do before there is a piece of the body.
  let sentOn = () => {}
  const headSentOn = new Promise<void>((resolve) => (sentOn = resolve))
  const proxy = { ...TIMEOUTS, onRequestHeaders: () => sentOn() }
  const gateway = await start(optionsFor({ A: url, B: url }, { proxy }))
  closing.push(() => gateway.close())
  const next = (): Promise<Seen> => {
    const seen = heads.shift()
    return seen === undefined ? new Promise((resolve) => waiting.push(resolve)) : Promise.resolve(seen)
  }
  return { next, headSentOn, client: () => clientOf(gateway.port) }
}

function clientOf(port: number): Client {
  const socket = connect(port, '127.0.0.1')
  let text = ''
  socket.on('data', (chunk) => (text += chunk.toString('latin1')))
  socket.on('error', () => {})
  const closed = new Promise((resolve) => socket.on('close', resolve))
  closing.push(() => socket.destroy())
  return { socket, text: () => text, closed }
}

async function bodyOf(request: IncomingMessage): Promise<string> {
  let body = ''
  for await (const chunk of request) body += String(chunk)
  return body
}

const throughHttpProxy: Start = (options) => {
  const forwarded = { ...options, proxy: { ...options.proxy, forwarder: httpProxyForwarder() } }
  return GATEWAYS['node']?.(forwarded) ?? Promise.reject(new Error('no gateway'))
}

describe.each(Object.entries<Start>({ ...GATEWAYS, 'node with http-proxy': throughHttpProxy }))(
  'a request to %s that asks for h2c, and whose body comes after its head',
  (_name, start) => {
    test.each([
      ['of known length', ['Content-Length: 10'], ['hello', 'world'], 'content-length: 10'],
      ['in chunks', ['Transfer-Encoding: chunked'], ['5\r\nhel', 'lo\r\n5\r\nworld\r\n0\r\n\r\n'], 'chunked'],
    ] as const)('is sent on as it comes, %s, and answered', async (_what, lines, [first, second], framing) => {
      const { next, headSentOn, client } = await stage(start)
      const { socket, text, closed } = client()
      socket.write(head(...lines))
      await headSentOn
      socket.write(first)
      const { request, response } = await next()
      expect([request.method, request.url, request.headers.upgrade]).toEqual(['POST', '/a', undefined])
      expect(request.rawHeaders.join(': ')).toContain(framing.replace('content-length: ', ''))
      const body = bodyOf(request)
      socket.write(`${second}${SECOND}`)
      expect(await body).toBe('helloworld')
      response.end('first')
      if (!nodeReadsBodiesOfUpgrades) (await next()).response.end('second')
      await closed
      expect(statusesOf(text()), text()).toEqual(nodeReadsBodiesOfUpgrades ? [200] : [200, 200])
      expect(text()).toContain('first')
    })

    test('is sent and answered whole, however large both are', async () => {
      const { next, headSentOn, client } = await stage(start)
      const { socket, text, closed } = client()
      socket.write(head(`Content-Length: ${4 * MEGABYTE}`, 'Connection: close'))
      await headSentOn
      socket.write('x'.repeat(4 * MEGABYTE))
      const { request, response } = await next()
      expect((await bodyOf(request)).length).toBe(4 * MEGABYTE)
      response.setHeader('content-length', 8 * MEGABYTE)
      response.end('y'.repeat(8 * MEGABYTE))
      await closed
      expect(statusesOf(text().slice(0, 1000))).toEqual([200])
      expect(text().split('\r\n\r\n')[1]?.length).toBe(8 * MEGABYTE)
    })

    test('is told to go on where it waits for that', async () => {
      const { next, client } = await stage(start)
      const { socket, text, closed } = client()
      socket.write(head('Content-Length: 5', 'Expect: 100-continue', 'Connection: close'))
      await once(socket, 'data')
      expect(text()).toMatch(/^HTTP\/1\.1 100 /)
      socket.write('hello')
      const { request, response } = await next()
      expect(await bodyOf(request)).toBe('hello')
      response.end('done')
      await closed
      expect(statusesOf(text()), text()).toEqual([200])
    })

    test('ends at the upstream when its client leaves in the middle', async () => {
      const { next, headSentOn, client } = await stage(start)
      const { socket } = client()
      socket.write(head('Content-Length: 10'))
      await headSentOn
      socket.write('hello')
      const { request } = await next()
      // Its error comes first, and is what is expected.
      const closed = new Promise((resolve) => request.socket.on('close', resolve))
      socket.resetAndDestroy()
      await closed
      expect(request.complete).toBe(false)
    })
  },
)
