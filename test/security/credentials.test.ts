import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { createServer as createHttpServer } from 'node:http'
import { type AddressInfo, type Socket, createServer } from 'node:net'
import { inspect } from 'node:util'
import { createRelease } from '@canary-release/core'
import { httpProxyForwarder } from '@canary-release/core/http-proxy'
import { attachUpgrades, createHandler } from '@canary-release/core/node'
import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { sendRaw } from './gateways.js'
import { SECRET, WRITTEN, saidBy } from './written-credentials.js'

const KEY = new URL('../../packages/core/test/tls/client-key.pem', import.meta.url)
const CERT = new URL('../../packages/core/test/tls/client.pem', import.meta.url)

function refusalOf(build: () => { close(): unknown }): unknown[] {
  try {
    build().close()
  } catch (error) {
    return [error]
  }
  return []
}

/** What every option that takes a URL, or a part of one, says of a wrong one. */
function refusals(url: string): unknown[] {
  const good = 'http://127.0.0.1:9'
  const common = { name: 'n', percentage: 1 }
  return [
    ...refusalOf(() => createRelease({ ...common, upstreams: { A: url, B: good } })),
    ...refusalOf(() => createRelease({ ...common, upstreams: { A: good, B: url } })),
    ...refusalOf(() => createRelease({ ...common, upstreams: { A: good, B: { url } } })),
    ...refusalOf(() => createRelease({ ...common, upstreams: { A: good, B: { host: url } } })),
    ...refusalOf(() => createRelease({ ...common, upstreams: { A: good, B: { uri: url } } })),
  ]
}

describe('credentials in the URL of an upstream', () => {
  test.each(WRITTEN)('%j: no error names them', (url) => {
    const errors = refusals(url)
    expect(errors.length).toBeGreaterThanOrEqual(4)
    for (const error of errors) {
      expect(error).toMatchObject({ code: 'ERR_CANARY_OPTION' })
      expect(saidBy(error)).not.toMatch(/s3cr3tpw|us3rnam3/i)
    }
  })

  test('whatever stands around them', () => {
    const noise = fc.string({
      unit: fc.constantFrom('a', ':', '/', '\\', '?', '#', '%', '[', ' ', '\n', 'é', '1', '@'),
    })
    const scheme = fc.constantFrom('http://', 'HTTPS://', '//', 'http:', 'http:\\\\', '', '\thttp://')
    const at = fc.constantFrom('@', '%40', '%2540', '\uff20')
    let refused = 0
    fc.assert(
      fc.property(scheme, noise, noise, at, noise, (open, before, after, sign, host) => {
        for (const error of refusals(`${open}${before}${SECRET}${after}${sign}${host}`)) {
          refused += 1
          expect(saidBy(error)).not.toContain(SECRET)
        }
      }),
      { seed: 4711, numRuns: 400 },
    )
    expect(refused).toBeGreaterThan(1200)
  })

  test('an update says as little, and changes nothing', () => {
    const release = createRelease({ name: 'n', percentage: 1, upstreams: { A: 'http://a', B: 'http://b' } })
    const before = JSON.stringify(release.status())
    for (const url of WRITTEN) {
      const [error] = refusalOf(() => {
        release.update({ upstreams: { A: 'http://a', B: url } })
        return release
      })
      expect(error).toBeInstanceOf(Error)
      expect(saidBy(error)).not.toMatch(/s3cr3tpw|us3rnam3/i)
    }
    expect(JSON.stringify(release.status())).toBe(before)
    release.close()
  })

  test('a URL without any is shown as it was given', () => {
    for (const [url, shown] of [
      ['ftp://host:21/path', 'ftp://host:21/path'],
      ['ws://[::1]:80/', 'ws://[::1]:80/'],
      ['//host:80/x', '//host:80/x'],
      ['localhost:3000', 'localhost:3000'],
    ]) {
      const [error] = refusals(url ?? '')
      expect(String(error)).toContain(`got ${JSON.stringify(shown)}`)
    }
  })
})

describe('what a release keeps', () => {
  test('shows no key and no passphrase of an upstream, however it is printed', () => {
    const tls = { key: `key ${SECRET}`, passphrase: SECRET }
    const upstreams = { A: 'https://a', B: { url: 'https://b', tls } }
    const release = createRelease({ name: 'n', percentage: 50, upstreams })
    const request = { headers: {}, consumer: 'c' }
    const said = [
      inspect(release, { depth: 9, showHidden: true }),
      JSON.stringify(release),
      JSON.stringify([release.status(), release.decide(request), release.explain(request)]),
    ].join('\n')
    release.close()
    expect(said).not.toContain(SECRET)
  })
})

const say = (text: string) => (socket: Socket) => void socket.once('data', () => socket.end(text))

/** What an upstream does that a forwarder makes an error of. */
const FAILURES: Record<string, (socket: Socket) => void> = {
  'that is closed at once': (socket) => void socket.destroy(),
  'that is reset': (socket) => void socket.once('data', () => socket.resetAndDestroy()),
  'that answers nonsense': say('what?\r\n\r\n'),
  'that breaks off in its head': say('HTTP/1.1 200 OK\r\nX-A: '),
  'that switches unasked': say('HTTP/1.1 101 Switching\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n'),
  'that never answers': () => {},
}

describe.each([
  ['undici', () => undefined],
  ['http-proxy', () => httpProxyForwarder()],
])('what fails through %s', (_name, forwarder) => {
  test.each(Object.entries(FAILURES))('names no secret in its error or causes: an upstream %s', async (_what, act) => {
    const upstream = createServer((socket) => act(socket.on('error', () => {})))
    await once(upstream.listen(0, '127.0.0.1'), 'listening')
    const { port } = upstream.address() as AddressInfo
    const said: string[] = []
    const log = (...words: unknown[]) => void said.push(inspect(words, { depth: 9, showHidden: true }))
    const tls = { key: readFileSync(KEY), cert: readFileSync(CERT), passphrase: SECRET }
    const release = createRelease({
      name: 'n',
      upstreams: { A: { url: `https://127.0.0.1:${port}`, tls }, B: `http://127.0.0.1:${port}` },
      percentage: 50,
      override: { header: 'x-canary' },
      logger: { info: log, warn: log, error: log },
      onError: log,
      proxy: { headersTimeoutMs: 100, connectTimeoutMs: 100, forwarder: forwarder() },
    })
    const ended = (error: unknown) => void said.push(saidBy(error))
    let failures = 0
    release.on('outcome', (outcome) => {
      failures += outcome.error === null ? 0 : 1
      ended(outcome.error)
      log(outcome)
    })
    const handler = createHandler(release)
    const gateway = createHttpServer((request, response) => {
      handler(request, response, (error) => {
        ended(error)
        response.statusCode = 500
        response.end(String(error))
      })
    })
    attachUpgrades(gateway, handler)
    await once(gateway.listen(0, '127.0.0.1'), 'listening')
    const at = (gateway.address() as AddressInfo).port
    for (const side of ['always', 'never']) {
      const head = `Host: gateway\r\nX-Canary: ${side}\r\nAuthorization: Bearer ${SECRET}\r\nCookie: id=${SECRET}\r\n`
      for (const more of ['Connection: close', 'Connection: Upgrade\r\nUpgrade: websocket']) {
        said.push(await sendRaw(at, `GET /?token=${SECRET} HTTP/1.1\r\n${head}${more}\r\n\r\n`))
      }
    }
    log(release, handler, release.status(), release.explain({ headers: {} }))
    await handler.close(0)
    gateway.close()
    upstream.close()
    expect(failures).toBeGreaterThanOrEqual(4)
    expect(said.join('\n')).not.toMatch(/s3cr3tpw|PRIVATE KEY/)
  })
})
