import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { CanaryError, apiKeyConsumers, createRelease } from '@canary-release/core'
import { createHandler, fail } from '@canary-release/core/node'
import { createRegistry, memoryStore } from '@canary-release/core/registry'
import { canary as expressCanary } from '@canary-release/express'
import { canary as fastifyCanary } from '@canary-release/fastify'
import { canary as koaCanary } from '@canary-release/koa'
import Fastify from 'fastify'
import { afterEach, describe, expect, test, vi } from 'vitest'

const opened: (() => unknown)[] = []
afterEach(async () => {
  for (const close of opened.splice(0)) await close()
})

const options = () => ({ name: 'x', upstreams: { A: 'http://a', B: 'http://b' }, percentage: 50 }) as const

describe('a mount', () => {
  const MOUNTS: Record<string, (source: never) => unknown> = {
    Express: expressCanary,
    Koa: koaCanary,
    'node:http': createHandler,
    Fastify: async (source: object | null) => {
      const app = Fastify()
      opened.push(() => app.close())
      await app.register(fastifyCanary, source as never)
    },
  }
  const errorOf = async (make: () => unknown): Promise<unknown> => {
    try {
      return await make()
    } catch (error) {
      return error instanceof CanaryError ? `${error.code}: ${error.message}` : error
    }
  }

  test.each(Object.keys(MOUNTS))('on %s is refused where it cannot work, before any request', async (name) => {
    const refusal = (source: unknown) => errorOf(() => MOUNTS[name]?.(source as never))
    expect(await refusal({ upstreams: { A: 'http://a', B: 'http://b' } })).toMatch(/^ERR_CANARY_OPTION: name /)
    const registry = await createRegistry({ store: memoryStore() })
    expect(await refusal({ registry })).toMatch(
      /^ERR_CANARY_OPTION: registry must come with a service, route or api that says what is mounted/,
    )
    await registry.close()
    if (name === 'Fastify') {
      for (const graceMs of [-1, Number.NaN, 2 ** 31]) {
        expect(await refusal({ ...options(), graceMs })).toMatch(/^ERR_CANARY_OPTION: graceMs must be between 0 and/)
      }
    } else expect(await refusal(null)).toMatch(/^ERR_CANARY_OPTION: canary must get a release, the options of one/)
  })

  test('for callers with keys must be told where the key is', () => {
    expect(() => apiKeyConsumers({ keys: {} })).toThrow(/must say the header or the query parameter/)
  })
})

test('a mount that is closed lets go of the release that it was given whole', async () => {
  const release = createRelease(options())
  const listeners = new Set<unknown>()
  vi.spyOn(release, 'on').mockImplementation((_event, listener) => {
    listeners.add(listener)
    return () => listeners.delete(listener)
  })
  const handler = createHandler(release)
  expect(listeners.size).toBe(1)
  await handler.close()
  expect(listeners.size).toBe(0)
})

test('a handler of node:http that nothing follows answers 404 where it only rewrites', async () => {
  const server = createServer(createHandler({ ...options(), mode: 'rewrite' }))
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  opened.push(() => server.close())
  const { port } = server.address() as AddressInfo
  const response = await fetch(`http://127.0.0.1:${port}/`)
  expect([response.status, await response.json()]).toEqual([
    404,
    { code: 'ERR_NOT_FOUND', message: 'nothing handles this request' },
  ])
})

test('two releases on one way decide a request once each, and both are told that it failed', async () => {
  const inner = createRelease({ ...options(), percentage: 100, mode: 'rewrite' })
  const outer = createRelease({ ...options(), name: 'y', mode: 'rewrite' })
  const [first, second] = [createHandler(outer), createHandler(inner)]
  const server = createServer((request, response) => {
    const again = () => first(request, response, () => response.end('ok'))
    first(request, response, () => second(request, response, again))
    fail(request, 'the answer is nonsense')
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  opened.push(() => server.close())
  const { port } = server.address() as AddressInfo
  const response = await fetch(`http://127.0.0.1:${port}/`)
  await response.text()
  for (const release of [inner, outer]) {
    const { A, B } = release.status().counts
    expect([A.requests + B.requests, A.failures + B.failures]).toEqual([1, 1])
  }
})
