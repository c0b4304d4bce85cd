import dns from 'node:dns'
import { once } from 'node:events'
import http from 'node:http'
import type { AddressInfo } from 'node:net'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { httpProxyForwarder } from '../../src/proxy/http-proxy/forwarder.js'
import type { ProxyOptions } from '../../src/proxy/options.js'
import { ask, gateway, testRelease, urlUpstream } from './harness.js'

// A name that leads to another address while requests go on.

const FORWARDERS: [string, () => ProxyOptions][] = [
  ['undici', () => ({})],
  ['http-proxy', () => ({ forwarder: httpProxyForwarder() })],
]
const NAME = 'moving.test'
const lookup = dns.lookup
let address = ''

beforeEach(() => {
  address = '127.0.0.1'
  const own = (hostname: string, options: dns.LookupOptions, callback: (...results: unknown[]) => void): void => {
    if (hostname !== NAME) return Reflect.apply(lookup, dns, [hostname, options, callback])
    const found = [{ address, family: 4 }]
    process.nextTick(() => (options.all === true ? callback(null, found) : callback(null, address, 4)))
  }
  Reflect.set(dns, 'lookup', own)
})

afterEach(() => {
  Reflect.set(dns, 'lookup', lookup)
})

async function serverAt(at: string, port = 0) {
  let connections = 0
  const server = http.createServer((_request, response) => void response.end(at))
  server.on('connection', () => (connections += 1))
  await once(server.listen(port, at), 'listening')
  return {
    port: (server.address() as AddressInfo).port,
    connections: () => connections,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections()
      server.close()
      await once(server, 'close')
    },
  }
}

describe.each(FORWARDERS)('by %s, a connection', (_name, forwarder) => {
  async function stage(proxy: ProxyOptions) {
    const before = await serverAt('127.0.0.1')
    const after = await serverAt('127.0.0.2', before.port)
    const B = urlUpstream('B', before.port, { hostname: NAME })
    const front = await gateway(testRelease({ B, proxy: { ...forwarder(), ...proxy } }))
    return {
      before,
      front,
      async [Symbol.asyncDispose]() {
        await front[Symbol.asyncDispose]()
        await after[Symbol.asyncDispose]()
        await before[Symbol.asyncDispose]()
      },
    }
  }

  test.each(['GET', 'POST'])(
    'that is too old carries no further %s, which then goes where the name leads',
    async (method) => {
      await using at = await stage({ connectionMaxAgeMs: 50 })
      expect(await ask(at.front.port, '/', { method })).toMatchObject({ status: 200, body: '127.0.0.1' })
      address = '127.0.0.2'
      const bodies = new Set<string>()
      while (!bodies.has('127.0.0.2')) {
        const { status, body } = await ask(at.front.port, '/', { method })
        expect(status).toBe(200)
        bodies.add(body)
      }
      expect(await ask(at.front.port, '/', { method })).toMatchObject({ body: '127.0.0.2' })
    },
  )

  test('that is not so old is used, wherever the name leads', async () => {
    await using at = await stage({})
    for (let i = 0; i < 20; i += 1) {
      expect(await ask(at.front.port)).toMatchObject({ status: 200, body: '127.0.0.1' })
      address = '127.0.0.2'
    }
    expect(at.before.connections()).toBe(1)
  })

  test('that is too old ends when its exchange does, and what waits gets a new one', async () => {
    await using at = await stage({ connectionMaxAgeMs: 1, connections: 1, queue: 100 })
    const answers = await Promise.all(Array.from({ length: 40 }, () => ask(at.front.port, '/', { method: 'POST' })))
    expect(new Set(answers.map(({ status, body }) => `${status} ${body}`))).toEqual(new Set(['200 127.0.0.1']))
    expect(at.before.connections()).toBeGreaterThan(1)
  })
})
