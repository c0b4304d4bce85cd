import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFile, readdir } from 'node:fs/promises'
import { createServer } from 'node:net'
import request, { type Response, type Test } from 'supertest'
import { WebSocket } from 'ws'
import { afterEach, describe, expect, test } from 'vitest'
import { start as apiKeys } from '../examples/api-keys.js'
import { start as cookie } from '../examples/cookie.js'
import { listen } from '../examples/demo/listen.js'
import { start as express } from '../examples/express.js'
import { start as fastify } from '../examples/fastify.js'
import { startGuarded } from '../examples/guard.js'
import { start as httpProxy } from '../examples/http-proxy.js'
import { start as kongFile } from '../examples/kong-file.js'
import { start as koa } from '../examples/koa.js'
import { start as login } from '../examples/login.js'
import { start as nodeHttp } from '../examples/node-http.js'
import { start as outbound } from '../examples/outbound.js'
import { startRamp } from '../examples/ramp.js'
import { start as rewriteExpress } from '../examples/rewrite-express.js'
import { start as rewriteFastify } from '../examples/rewrite-fastify.js'
import { start as rewriteKoa } from '../examples/rewrite-koa.js'
import { hello, start as websocket } from '../examples/websocket.js'

const opened: (() => Promise<void>)[] = []
afterEach(async () => {
  for (const close of opened.splice(0)) await close()
})

/** Starts an example, and returns a client of it. */
async function open(start: (port: number) => Promise<{ url: string; close(): Promise<void> }>) {
  const { url, close } = await start(0)
  opened.push(close)
  return request(url)
}

/** What an example answers to those who ask for B and for A. */
async function expectSides(start: Parameters<typeof open>[0], B: string, A: string): Promise<void> {
  const client = await open(start)
  const orders = (side: string): Test => client.get('/orders/1?x=2').set('x-canary', side)
  await orders('always').expect(200, B)
  await orders('never').expect(200, A)
}

describe('the examples', () => {
  test.each([
    ['express', express, '/1?x=2'],
    ['koa', koa, '/1?x=2'],
    ['fastify', fastify, '/1?x=2'],
    ['node-http', nodeHttp, '/orders/1?x=2'],
    ['http-proxy', httpProxy, '/1?x=2'],
    ['kong-file', kongFile, '/1?x=2'],
  ])('%s forwards to both versions', async (_name, start, path) => {
    await expectSides(start, `orders version 2 (B): GET ${path}\n`, `orders version 1 (A): GET ${path}\n`)
  })

  test.each([
    ['http-proxy-middleware', rewriteExpress, '/1?x=2'],
    ['koa-proxies', rewriteKoa, '/orders/1?x=2'],
    ['@fastify/http-proxy', rewriteFastify, '/orders/1?x=2'],
  ])('%s is told where to by a canary in rewrite mode, the base of B included', async (_name, start, path) => {
    await expectSides(start, `orders version 2 (B): GET /v2${path}\n`, `orders version 1 (A): GET ${path}\n`)
  })

  test('outbound calls carry the decision on', async () => {
    const said = (side: string) => `${side} asked: orders version 1 (A): GET /stock?canary=${side}\n`
    await expectSides(outbound, said('B'), said('A'))
  })

  test("http-proxy's own events keep working", async () => {
    await (await open(httpProxy)).get('/orders/1').expect('x-proxied', 'GET')
  })

  test('a visitor without a cookie gets one, and stays on the version of the first answer', async () => {
    const client = await open(cookie)
    const visit = async (headers: Record<string, string> = {}) => {
      const { headers: answer } = await client.get('/orders/1').set(headers)
      return { side: answer['x-canary-upstream'], setCookie: answer['set-cookie'] }
    }
    const visitors = await Promise.all(Array.from({ length: 40 }, () => visit()))
    // n = 40 at 50 %: one side alone has a probability of 2 in 2^40.
    expect(new Set(visitors.map(({ side }) => side))).toEqual(new Set(['A', 'B']))
    for (const { side, setCookie } of visitors) {
      const again = await visit({ cookie: String(setCookie).split(';')[0] ?? '' })
      expect(again).toEqual({ side, setCookie: undefined })
    }
  })

  test('a key says who calls, and a name in its place says nothing', async () => {
    const client = await open(apiKeys)
    const orders = (key: string): Test => client.get('/orders/1').set('apikey', key)
    await orders('s3cret-1').expect(200, /^orders version 2 \(B\)/)
    await orders('s3cret-2').expect(200, /^orders version 1 \(A\)/)
    await orders('alice').expect(200, /^orders version 1 \(A\)/)
  })

  test('a visitor is hashed by the session, and as the user after the login', async () => {
    const client = await open(login)
    const cookieOf = ({ headers }: Response) => String(headers['set-cookie'] ?? '').split(';')[0] ?? ''
    const sideOf = async (headers: Record<string, string> = {}) => {
      const response = await client.get('/orders/1').set(headers)
      return { side: response.headers['x-canary-upstream'], cookie: cookieOf(response) }
    }
    const visitors = await Promise.all(Array.from({ length: 40 }, () => sideOf()))
    expect(new Set(visitors.map(({ side }) => side))).toEqual(new Set(['A', 'B']))
    for (const { side, cookie } of visitors) expect((await sideOf({ cookie })).side).toBe(side)

    const sides = new Set<string | undefined>()
    for (const { cookie } of visitors) {
      const loggedIn = cookieOf(await client.post('/login').set({ cookie }))
      expect(loggedIn).not.toBe(cookie)
      sides.add((await sideOf({ cookie: loggedIn })).side)
    }
    expect(sides.size).toBe(1)
  })

  test('a WebSocket takes the side of its page, and none opens without the token', async () => {
    const { url, close } = await websocket(0)
    opened.push(close)
    const versions = new Set<string>()
    for (const authorization of Array.from({ length: 10 }, (_, user) => `Bearer secret-${user}`)) {
      const page = await (await fetch(`${url}/chat`, { headers: { authorization } })).text()
      expect(await hello(url, authorization)).toBe(`${page}: hello`)
      versions.add(page)
    }
    expect(versions).toEqual(new Set(['version 1 (A)', 'version 2 (B)']))

    const stranger = new WebSocket(`${url.replace('http', 'ws')}/chat`)
    const [error] = await once(stranger, 'error')
    expect(String(error)).toContain('401')
  })

  test('a ramp takes alice over once, at the moment that was foretold', async () => {
    const begin = Date.UTC(2027, 2, 1, 9)
    let now = begin
    const { url, release, close } = await startRamp(0, () => now)
    opened.push(close)
    const foretold = Date.parse(release.explain({ consumer: 'alice' }).goesToB?.date ?? '')
    const versions: string[] = []
    for (let second = 0; second <= 20; second += 1) {
      now = begin + second * 1000
      expect(release.status().bucketsOnB).toBe(second * 50)
      const version = (await (await fetch(`${url}/orders/1`)).text()).slice(0, 20)
      versions.push(version)
      expect(version).toBe(now >= foretold ? 'orders version 2 (B)' : 'orders version 1 (A)')
    }
    expect(new Set(versions).size).toBe(2)
    expect(release.status().state).toBe('complete')
  })

  test('the guard rolls a B back that turns bad at 20 %', { timeout: 60_000 }, async () => {
    const { release, watch, close } = await startGuarded(0)
    opened.push(close)
    expect(await watch(() => {})).toMatch(/^rolled back: B failed \d+ of/)
    expect(release.status()).toMatchObject({ state: 'rolled-back', by: 'guard' })
  })
})

describe('the programs', () => {
  const programs = async () => {
    const files = await readdir('examples')
    return files.filter((file) => file.endsWith('.ts') && file !== 'run.ts').map((file) => file.replace('.ts', ''))
  }

  /** Runs one from `dist`, until it says that it runs, or ends. */
  async function run(program: string, PORT: string): Promise<{ said: string; code: number | null }> {
    const child = spawn(process.execPath, [`examples/dist/${program}.js`], { env: { ...process.env, PORT } })
    const exit = once(child, 'exit')
    let said = ''
    const hear = (chunk: unknown) => {
      said += String(chunk)
      if (said.includes('Ctrl-C ends it.')) child.kill('SIGINT')
    }
    child.stdout.on('data', hear)
    child.stderr.on('data', hear)
    const [code] = await exit
    return { said, code }
  }

  test('each is listed in examples/README.md, starts by its command, says what to try, and ends by Ctrl-C', async () => {
    const index = await readFile('examples/README.md', 'utf8')
    const listed = [...index.matchAll(/`node examples\/dist\/([\w-]+)\.js`/g)].map(([, name]) => name)
    expect(listed.toSorted()).toEqual((await programs()).toSorted())
    for (const program of await programs()) {
      const { said, code } = await run(program, '0')
      expect([program, code]).toEqual([program, 0])
      expect(said).toMatch(/http:\/\/127\.0\.0\.1:\d+/)
    }
  })

  test('a port in use, or one that is none, is said in a sentence', async () => {
    const other = createServer()
    const port = await listen(other, 0)
    opened.push(async () => void other.close())
    for (const program of ['express', 'fastify']) {
      expect(await run(program, String(port))).toEqual({
        said: `Port ${port} is in use by another program: choose another with PORT=8080.\n`,
        code: 1,
      })
    }
    expect(await run('koa', 'http')).toEqual({ said: 'PORT must be 0 to 65535, got http.\n', code: 1 })
  })
})
