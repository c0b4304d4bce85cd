import { afterEach, describe, expect, test } from 'vitest'
import { start as express } from '../examples/express.js'
import { start as fastify } from '../examples/fastify.js'
import { startGuarded } from '../examples/guard.js'
import { start as koa } from '../examples/koa.js'
import { start as login } from '../examples/login.js'
import { start as nodeHttp } from '../examples/node-http.js'
import { start as outbound } from '../examples/outbound.js'
import { start as rewriteExpress } from '../examples/rewrite-express.js'
import { start as rewriteFastify } from '../examples/rewrite-fastify.js'
import { start as rewriteKoa } from '../examples/rewrite-koa.js'

const opened: (() => Promise<void>)[] = []
afterEach(async () => {
  for (const close of opened.splice(0)) await close()
})

async function ask(start: (port: number) => Promise<{ url: string; close(): Promise<void> }>) {
  const { url, close } = await start(0)
  opened.push(close)
  const text = async (headers: Record<string, string>) => (await fetch(`${url}/orders/1?x=2`, { headers })).text()
  return { url, always: await text({ 'x-canary': 'always' }), never: await text({ 'x-canary': 'never' }) }
}

describe('the examples', () => {
  test.each([
    ['express', express, '/1?x=2'],
    ['koa', koa, '/1?x=2'],
    ['fastify', fastify, '/1?x=2'],
    ['node-http', nodeHttp, '/orders/1?x=2'],
  ])('%s forwards to both versions', async (_name, start, path) => {
    const { always, never } = await ask(start)
    expect(always).toBe(`orders version 2 (B): GET ${path}\n`)
    expect(never).toBe(`orders version 1 (A): GET ${path}\n`)
  })

  test.each([
    ['http-proxy-middleware', rewriteExpress, '/1?x=2'],
    ['koa-proxies', rewriteKoa, '/orders/1?x=2'],
    ['@fastify/http-proxy', rewriteFastify, '/orders/1?x=2'],
  ])('%s is told where to by a canary in rewrite mode, the base of B included', async (_name, start, path) => {
    const { always, never } = await ask(start)
    expect(always).toBe(`orders version 2 (B): GET /v2${path}\n`)
    expect(never).toBe(`orders version 1 (A): GET ${path}\n`)
  })

  test('outbound calls carry the decision on', async () => {
    const { always, never } = await ask(outbound)
    expect(always).toBe('B asked: orders version 1 (A): GET /stock?canary=B\n')
    expect(never).toBe('A asked: orders version 1 (A): GET /stock?canary=A\n')
  })

  test('a visitor is hashed by cookie, and by name after the login', async () => {
    const { url } = await ask(login)
    const sideOf = async (cookie: string) =>
      (await fetch(`${url}/orders/1`, { headers: { cookie } })).headers.get('x-canary-upstream')
    const visitors = await Promise.all(Array.from({ length: 40 }, (_, i) => sideOf(`visitor=${i}`)))
    expect(new Set(visitors)).toEqual(new Set(['A', 'B']))
    const users = await Promise.all(Array.from({ length: 20 }, (_, i) => sideOf(`visitor=${i}; user=alice`)))
    expect(new Set(users).size).toBe(1)
  })

  test('the guard rolls a B back that turns bad at 20 %', { timeout: 60_000 }, async () => {
    const { release, watch, close } = await startGuarded(0)
    opened.push(close)
    expect(await watch(() => {})).toMatch(/^rolled back: B failed \d+ of/)
    expect(release.status()).toMatchObject({ state: 'rolled-back', by: 'guard' })
  })
})
