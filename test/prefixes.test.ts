import { once } from 'node:events'
import { type RequestListener, createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { type Release, createRelease } from '@canary-release/core'
import { canary as expressCanary } from '@canary-release/express'
import { canary as fastifyCanary } from '@canary-release/fastify'
import { canary as koaCanary } from '@canary-release/koa'
import express from 'express'
import express4 from 'express4'
import Fastify from 'fastify'
import Koa from 'koa'
import Koa2 from 'koa2'
import koaMount from 'koa-mount'
import { afterEach, describe, expect, test } from 'vitest'
import { ask, echoOf } from './conformance/client.js'
import { startUpstream } from './conformance/upstream.js'

// What a framework takes off a path below its prefix, and that nothing is cut in the wrong place.

const opened: (() => unknown)[] = []
afterEach(async () => {
  for (const close of opened.splice(0).reverse()) await close()
})

type Start = (prefixes: readonly string[], release: Release) => Promise<string>

async function serving(listener: RequestListener): Promise<string> {
  const server = createServer(listener)
  await once(server.listen(0, '127.0.0.1'), 'listening')
  opened.push(() => {
    server.closeAllConnections()
    server.close()
  })
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`
}

const onExpress =
  (create: typeof express): Start =>
  (prefixes, release) => {
    const app = create()
    for (const prefix of prefixes) app.use(prefix, expressCanary(release))
    return serving(app)
  }

const onKoa =
  (Application: typeof Koa): Start =>
  (prefixes, release) => {
    const app = new Application()
    app.silent = true
    for (const prefix of prefixes) app.use(koaMount(prefix, koaCanary(release) as never))
    return serving(app.callback())
  }

const onFastify: Start = async (prefixes, release) => {
  const app = Fastify()
  for (const prefix of prefixes) await app.register(fastifyCanary, { prefix, release })
  opened.push(() => app.close())
  return app.listen({ port: 0, host: '127.0.0.1' })
}

interface Framework {
  readonly start: Start
  readonly parameters: boolean
  readonly anyCase: boolean
  /** What is left of `/orders//7`: Express 4 takes one slash for the end of the prefix. */
  readonly doubled: '//7' | '/7'
}

const FRAMEWORKS: Record<string, Framework> = {
  'Express 4': {
    start: onExpress(express4 as unknown as typeof express),
    parameters: true,
    anyCase: true,
    doubled: '/7',
  },
  'Express 5': { start: onExpress(express), parameters: true, anyCase: true, doubled: '//7' },
  'Koa 2': { start: onKoa(Koa2 as unknown as typeof Koa), parameters: false, anyCase: false, doubled: '//7' },
  'Koa 3': { start: onKoa(Koa), parameters: false, anyCase: false, doubled: '//7' },
  Fastify: { start: onFastify, parameters: true, anyCase: false, doubled: '//7' },
}

async function releaseOfEcho(): Promise<Release> {
  const upstream = await startUpstream('A')
  opened.push(() => upstream.close())
  const { url } = upstream
  const logger = { info() {}, warn() {}, error() {} }
  return createRelease({ name: 'x', upstreams: { A: `${url}/base`, B: `${url}/base` }, percentage: 50, logger })
}

describe.each(Object.entries(FRAMEWORKS))('below a prefix of %s', (_name, { start, anyCase, doubled }) => {
  test.each([
    ['/orders', '/orders', '/base/'],
    ['/orders', '/orders/', '/base/'],
    ['/orders', '/orders?x=/orders/', '/base/?x=/orders/'],
    ['/orders', '/orders/7?x=1', '/base/7?x=1'],
    ['/orders', '/orders/orders/7', '/base/orders/7'],
    ['/orders', '/orders/%6frders/%2f7', '/base/%6frders/%2f7'],
    ['/orders', '/orders//7', `/base${doubled}`],
    ['/orders', '/orders/a%3Fb%23c?d=%3F', '/base/a%3Fb%23c?d=%3F'],
    ['/orders', '/orders/caf%C3%A9', '/base/caf%C3%A9'],
    ['/orders', 'http://other.example/orders/7?x=1', '/base/7?x=1'],
    ['/v1/orders', '/v1/orders/7', '/base/7'],
  ])('%s: %s is %s', async (prefix, path, expected) => {
    const url = await start([prefix], await releaseOfEcho())
    expect((await echoOf(url, { path })).url).toBe(expected)
  })

  test.each(['/ordersabc', '/orders%2F7', '/orders.json', '/v1/orders', '/'])(
    '/orders does not take %s',
    async (path) => {
      const url = await start(['/orders'], await releaseOfEcho())
      expect((await ask(url, { path })).status).toBe(404)
    },
  )

  test(`/orders ${anyCase ? 'takes' : 'does not take'} /ORDERS/7, as the framework has it`, async () => {
    const url = await start(['/orders'], await releaseOfEcho())
    if (anyCase) expect((await echoOf(url, { path: '/ORDERS/7' })).url).toBe('/base/7')
    else expect((await ask(url, { path: '/ORDERS/7' })).status).toBe(404)
  })

  test('one release at two prefixes is one release', async () => {
    const release = await releaseOfEcho()
    const url = await start(['/orders', '/returns'], release)
    expect((await echoOf(url, { path: '/orders/7' })).url).toBe('/base/7')
    expect((await echoOf(url, { path: '/returns/8' })).url).toBe('/base/8')
    const { A, B } = release.status().counts
    expect(A.requests + B.requests).toBe(2)
  })
})

const withParameters = Object.entries(FRAMEWORKS).filter(([, { parameters }]) => parameters)
describe.each(withParameters)('below a prefix with a parameter of %s', (_name, { start }) => {
  test.each([
    ['/acme/orders/7?x=1', '/base/7?x=1'],
    ['/ac%2Fme/orders/7', '/base/7'],
    ['/caf%C3%A9%20bar/orders/7', '/base/7'],
    ['/a/orders/a/orders/7', '/base/a/orders/7'],
  ])('/:tenant/orders: %s is %s', async (path, expected) => {
    const url = await start(['/:tenant/orders'], await releaseOfEcho())
    expect((await echoOf(url, { path })).url).toBe(expected)
  })
})
