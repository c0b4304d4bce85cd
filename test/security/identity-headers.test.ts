import { httpProxyForwarder } from '@canary-release/core/http-proxy'
import { canary as expressCanary, createServer as createExpressServer } from '@canary-release/express'
import { canary as fastifyCanary } from '@canary-release/fastify'
import express from 'express'
import Fastify from 'fastify'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { GATEWAYS, type Gateway, type GatewayOptions, optionsFor, sendRaw, serving, statusesOf } from './gateways.js'
import { type RecordingUpstream, startRecordingUpstream } from './recording-upstream.js'

/** One for each name and each family of names in the documented list. */
const IDENTITY = [
  'Remote-User',
  'X-Remote-User',
  'X-Forwarded-User',
  'X-Forwarded-Email',
  'X-Forwarded-Groups',
  'X-Forwarded-Preferred-Username',
  'X-Forwarded-Access-Token',
  'X-Auth-Request-Email',
  'X-Consumer-Custom-ID',
  'X-Credential-Identifier',
  'X-Authenticated-Scope',
  'X-WebAuth-User',
  'X-Goog-Authenticated-User-Email',
  'X-Amzn-Oidc-Data',
  'X-MS-CLIENT-PRINCIPAL',
  'X-MS-Client-Principal-Name',
  'X-Forwarded-Client-Cert',
  'X-Forwarded-Tls-Client-Cert-Info',
  'X-Client-Cert',
  'X-Client-Cert-Chain',
  'X-SSL-Client-Verify',
  'ssl-client-subject-dn',
  'True-Client-IP',
  'CF-Connecting-IP',
  'Fastly-Client-IP',
  'X-Client-IP',
  'X-Cluster-Client-IP',
  'X-Original-URL',
  'X-Original-URI',
  'X-Original-Host',
  'X-Original-Method',
  'X-Rewrite-URL',
]
const SPELLINGS = IDENTITY.flatMap((name) => [name, name.replaceAll('-', '_'), name.replace('-', '_').toUpperCase()])
const CLAIMS = SPELLINGS.map((name) => `${name}: root`)
/** Names that only begin, or end, like one of them. */
const OTHERS = ['x-consumer', 'x-forwarded-users', 'my-remote-user', 'x-sslx', 'x-canary-proxy', 'x-auth-request']

const STRANGERS: Partial<GatewayOptions> = { trustedIps: ['192.0.2.1'] }
const TRUSTED: Partial<GatewayOptions> = { trustedIps: ['loopback'] }

let upstream: RecordingUpstream
const gateways: Gateway[] = []

beforeAll(async () => {
  upstream = await startRecordingUpstream()
})

afterEach(async () => {
  for (const gateway of gateways.splice(0)) await gateway.close()
})

afterAll(async () => {
  await upstream[Symbol.asyncDispose]()
})

function optionsWith({ proxy, ...more }: Partial<GatewayOptions> = {}): GatewayOptions {
  const url = `http://127.0.0.1:${upstream.port}`
  return optionsFor({ A: url, B: url }, { proxy: { headersTimeoutMs: 2000, ...proxy }, ...more })
}

/** Which of the sent names arrive, as they arrive, sorted. */
async function arriving(gateway: Gateway, lines: readonly string[], upgrade = false): Promise<string[]> {
  const connection = upgrade ? ['Connection: Upgrade', 'Upgrade: echo'] : ['Connection: close']
  const head = ['GET /x HTTP/1.1', 'Host: gateway', ...connection, ...lines, '', ''].join('\r\n')
  const text = await sendRaw(gateway.port, head)
  expect(statusesOf(text), text).toEqual([200])
  const sent = new Set(lines.map((line) => line.slice(0, line.indexOf(':')).toLowerCase()))
  // http-proxy sends them in an order of its own.
  return namesIn(upstream.take())
    .filter((name) => sent.has(name))
    .toSorted()
}

function namesIn(head: string): string[] {
  return head
    .split('\r\n')
    .slice(1, -2)
    .map((line) => line.slice(0, line.indexOf(':')).toLowerCase())
}

const lower = (names: readonly string[]) => names.map((name) => name.toLowerCase())
const linesOf = (names: readonly string[]) => names.map((name) => `${name}: 1`)

const WAYS = Object.entries(GATEWAYS).flatMap(([framework, start]) =>
  (['undici', 'http-proxy'] as const).map((forwarder) => ({ framework, start, forwarder })),
)

describe.each(WAYS)('headers that say who calls, through $framework and $forwarder', ({ start, forwarder }) => {
  const open = async (more: Partial<GatewayOptions> = {}) => {
    const own = forwarder === 'undici' ? {} : { forwarder: httpProxyForwarder() }
    const gateway = await start(optionsWith({ ...more, proxy: { ...more.proxy, ...own } }))
    gateways.push(gateway)
    return gateway
  }

  test('are dropped where it was said who is trusted, and the peer is not', async () => {
    const gateway = await open(STRANGERS)
    for (const upgrade of [false, true]) {
      expect(await arriving(gateway, [...CLAIMS, ...linesOf(OTHERS)], upgrade)).toEqual(OTHERS.toSorted())
    }
    const nobody = await open({ trustedIps: [] })
    expect(await arriving(nobody, CLAIMS)).toEqual([])
  })

  test('pass from a trusted peer, and from everybody where nothing was said', async () => {
    for (const more of [TRUSTED, {}]) {
      expect(await arriving(await open(more), CLAIMS)).toEqual(lower(SPELLINGS).toSorted())
    }
  })

  test('are dropped from everybody by dropHeaders, but for what names the client', async () => {
    const dropHeaders = ['identity', 'X-Internal-*', 'X-Debug', 'Cookie'] as const
    const names = ['x-internal-a', 'X_Internal_B', 'x-debug', 'X_Debug', 'cookie', 'x-debugger', 'x-internal']
    for (const more of [TRUSTED, STRANGERS, {}]) {
      const gateway = await open({ ...more, proxy: { dropHeaders } })
      expect(await arriving(gateway, [...CLAIMS, ...linesOf(names)])).toEqual(['x-debugger', 'x-internal'])
    }
    const realIpHeader = 'cf-connecting-ip'
    const client = ['CF-Connecting-IP: 192.0.2.9', 'True-Client-IP: 192.0.2.9']
    const trusting = await open({ ...TRUSTED, realIpHeader, proxy: { dropHeaders: 'identity' } })
    expect(await arriving(trusting, client)).toEqual([realIpHeader])
    const strange = await open({ ...STRANGERS, realIpHeader, proxy: { dropHeaders: [] } })
    expect(await arriving(strange, client)).toEqual([])
  })

  test('are sent where a hook sets them', async () => {
    const gateway = await open({
      ...STRANGERS,
      proxy: {
        dropHeaders: 'identity',
        onRequestHeaders: (headers) => {
          expect(headers).not.toHaveProperty('remote-user')
          headers['remote-user'] = 'alice'
        },
      },
    })
    expect(await arriving(gateway, ['Remote-User: root', 'Remote_User: root'])).toEqual(['remote-user'])
  })

  test('Proxy is never sent', async () => {
    for (const more of [{}, TRUSTED]) {
      expect(await arriving(await open(more), ['Proxy: http://evil.example', 'PROXY: x', 'x-kept: 1'])).toEqual([
        'x-kept',
      ])
    }
  })
})

describe('the trust of a framework', () => {
  const byCookie: Partial<GatewayOptions> = { hash: { cookie: 'visitor' } }
  const throughExpress = async (trust: unknown) => {
    const app = express()
    app.set('trust proxy', trust)
    const middleware = expressCanary(optionsWith(byCookie))
    app.use(middleware)
    const gateway = await serving(createExpressServer(app), middleware.close)
    gateways.push(gateway)
    return gateway
  }
  const throughFastify = async (trustProxy: string | false) => {
    const app = Fastify({ trustProxy, forceCloseConnections: true })
    await app.register(fastifyCanary, optionsWith(byCookie))
    await app.listen({ port: 0, host: '127.0.0.1' })
    const address = app.server.address()
    const gateway = { port: typeof address === 'object' ? (address?.port ?? 0) : 0, close: () => app.close() }
    gateways.push(gateway)
    return gateway
  }

  test.each([
    ['Express', throughExpress],
    ['Fastify', throughFastify],
  ] as const)('of %s says whose headers say who calls', async (_name, start) => {
    const claim = ['Remote-User: alice']
    expect(await arriving(await start('192.0.2.1'), claim)).toEqual([])
    // Also where it says nothing of its client.
    expect(await arriving(await start('127.0.0.1'), claim)).toEqual(['remote-user'])
    expect(await arriving(await start('127.0.0.1'), [...claim, 'X-Forwarded-For: 192.0.2.9'])).toContain('remote-user')
    expect(await arriving(await start(false), claim)).toEqual(['remote-user'])
  })

  test.each([
    ['Express', throughExpress],
    ['Fastify', throughFastify],
  ] as const)('of %s says whose word makes a cookie Secure', async (_name, start) => {
    const head = 'GET /x HTTP/1.1\r\nHost: gateway\r\nConnection: close\r\nX-Forwarded-Proto: https\r\n\r\n'
    for (const [trust, secure] of [
      ['127.0.0.1', true],
      ['192.0.2.1', false],
      [false, false],
    ] as const) {
      const text = await sendRaw((await start(trust)).port, head)
      expect([trust, /^set-cookie: visitor=.*; Secure\r$/im.test(text)]).toEqual([trust, secure])
      expect(text).toMatch(/^set-cookie: visitor=/im)
    }
  })
})
