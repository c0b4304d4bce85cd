import { EventEmitter, once } from 'node:events'
import { type ServerResponse, request as httpRequest } from 'node:http'
import net, { type Socket } from 'node:net'
import { httpProxyForwarder } from '@canary-release/core/http-proxy'
import { describe, expect, test } from 'vitest'
import { ask } from '../conformance/client.js'
import { GATEWAYS, type GatewayOptions } from './gateways.js'
import { plainUpstream } from './servers.js'

// How much may be under way at a time, and for how long: through each adapter, by either forwarder.

const FORWARDERS: [string, () => GatewayOptions['proxy']][] = [
  ['undici', () => ({})],
  ['http-proxy', () => ({ forwarder: httpProxyForwarder() })],
]
const never = { 'x-canary': 'never' }
const SWITCHING = 'HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n'
const from = (address: string) => ({ ...never, 'x-forwarded-for': address })

/** The head that answers an upgrade, and its socket. */
async function upgrade(port: number, address = '203.0.113.1') {
  const socket = net.connect(port, '127.0.0.1')
  const lines = ['GET / HTTP/1.1', 'Host: x', 'Connection: Upgrade', 'Upgrade: x', 'X-Canary: never']
  socket.write([...lines, `X-Forwarded-For: ${address}`, '', ''].join('\r\n'))
  let text = ''
  for await (const data of socket.iterator({ destroyOnReturn: false })) {
    text += String(data)
    if (text.startsWith('HTTP/1.1 101') || text.includes('ERR_CANARY')) break
  }
  return { status: Number(text.slice(9, 12)), text, socket }
}

for (const [name, start] of Object.entries(GATEWAYS)) {
  describe.each(FORWARDERS)(`${name}: what is under way by %s`, (_forwarder, forwarder) => {
    /** A gateway whose upstream holds every answer, and opens every tunnel. */
    async function stage(proxy: object, options: object = {}) {
      const asked = new EventEmitter()
      const responses: ServerResponse[] = []
      const upstream = await plainUpstream((request, response) => {
        responses.push(response)
        asked.emit('asked', request.url)
        if (request.url === '/now') response.end('now')
        if (request.url === '/drip') {
          const drip = setInterval(() => response.write('.'), 20)
          response.on('close', () => clearInterval(drip))
        }
      })
      upstream.server.on('upgrade', (_request, socket: Socket) => {
        socket.on('error', () => {}).on('end', () => socket.end())
        socket.resume().write(SWITCHING)
      })
      const url = `http://127.0.0.1:${upstream.port}`
      const gateway = await start({ upstreams: { A: url, B: url }, proxy: { ...forwarder(), ...proxy }, ...options })
      return {
        port: gateway.port,
        url: `http://127.0.0.1:${gateway.port}`,
        responses,
        next: () => once(asked, 'asked'),
        async [Symbol.asyncDispose]() {
          await gateway.close()
          await upstream[Symbol.asyncDispose]()
        },
      }
    }

    test('one tunnel more than an upstream may have is told, requests are not, and one that ends makes room', async () => {
      await using at = await stage({ tunnels: 2 })
      const open = [await upgrade(at.port), await upgrade(at.port)]
      expect(open.map(({ status }) => status)).toEqual([101, 101])
      const refused = await upgrade(at.port)
      expect(refused.status).toBe(503)
      expect(refused.text).toContain('ERR_CANARY_UPSTREAM_BUSY: upstream A has too many tunnels at a time')
      refused.socket.destroy()
      expect(await ask(`${at.url}/now`, { headers: never })).toMatchObject({ status: 200 })
      open[0]?.socket.destroy()
      await expect
        .poll(async () => {
          const { status, socket } = await upgrade(at.port)
          open.push({ status, text: '', socket })
          return status
        })
        .toBe(101)
      for (const { socket } of open) socket.destroy()
    })

    test('a client network has no more at a time than it may, tunnels included', async () => {
      await using at = await stage({ perNetwork: 2 }, { trustedIps: ['127.0.0.1'] })
      const tunnel = await upgrade(at.port, '2001:db8:1:2::1')
      expect(tunnel.status).toBe(101)
      const next = at.next()
      const held = ask(at.url, { headers: from('2001:db8:1:2:ffff::7') })
      await next
      const busy = { status: 503, text: 'ERR_CANARY_UPSTREAM_BUSY: the client has too many requests at a time' }
      expect(await ask(`${at.url}/now`, { headers: from('2001:db8:1:2::3') })).toMatchObject(busy)
      const refused = await upgrade(at.port, '2001:db8:1:2::4')
      expect(refused.text).toContain(busy.text)
      refused.socket.destroy()
      for (const other of ['2001:db8:1:3::1', '203.0.113.7', '203.0.113.7'])
        expect(await ask(`${at.url}/now`, { headers: from(other) })).toMatchObject({ status: 200 })
      at.responses[0]?.end('served')
      expect(await held).toMatchObject({ status: 200, text: 'served' })
      await expect.poll(async () => (await ask(`${at.url}/now`, { headers: from('2001:db8:1:2::5') })).status).toBe(200)
      tunnel.socket.destroy()
    })

    test('without trusted proxies the client is who is connected, whatever it says', async () => {
      await using at = await stage({ perNetwork: 1 })
      const next = at.next()
      const held = ask(at.url, { headers: from('203.0.113.1') })
      await next
      expect(await ask(`${at.url}/now`, { headers: from('203.0.113.2') })).toMatchObject({ status: 503 })
      at.responses[0]?.end('served')
      await held
    })

    test('an exchange that takes longer than it may is answered 504, or cut off where its response has begun', async () => {
      await using at = await stage({ requestTimeoutMs: 150 })
      const text = 'ERR_CANARY_UPSTREAM_TIMEOUT: upstream A did not end its response in 150 ms'
      expect(await ask(at.url, { headers: never })).toMatchObject({ status: 504, text })
      expect(await ask(`${at.url}/drip`, { headers: never })).toMatchObject({ status: 200, whole: false })
      expect(await ask(`${at.url}/now`, { headers: never })).toMatchObject({ status: 200, whole: true })
    })

    test('an upload that takes longer is answered 504, which is not said of the upstream', async () => {
      await using at = await stage({ requestTimeoutMs: 150 })
      const request = httpRequest(at.url, { method: 'POST', headers: never, agent: false }).on('error', () => {})
      const drip = setInterval(() => request.write('.'), 20)
      const [response] = await once(request, 'response')
      let text = ''
      for await (const data of response) text += String(data)
      clearInterval(drip)
      request.destroy()
      expect([response.statusCode, text]).toEqual([504, 'ERR_CANARY_TIMEOUT: the request took longer than 150 ms'])
    })

    test('a tunnel may be open for longer', async () => {
      await using at = await stage({ requestTimeoutMs: 150 })
      const { status, socket } = await upgrade(at.port)
      expect(status).toBe(101)
      // Its time is up before that of a request that comes later.
      expect(await ask(at.url, { headers: never })).toMatchObject({ status: 504 })
      expect(socket.destroyed).toBe(false)
      socket.destroy()
    })
  })
}
