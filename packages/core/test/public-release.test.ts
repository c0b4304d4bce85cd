import { once } from 'node:events'
import { IncomingMessage, ServerResponse, createServer } from 'node:http'
import { type AddressInfo, Socket } from 'node:net'
import { inspect } from 'node:util'
import { describe, expect, test, vi } from 'vitest'
import { type Release, createRelease, fail } from '../src/entries/index.js'
import { canary, createHandler } from '../src/entries/node.js'

const logger = { info() {}, warn() {}, error() {} }
const options = { name: 'orders-v2', upstreams: { A: 'http://a:1', B: 'http://b:1' }, percentage: 12.5, logger }
const BRAND = Symbol.for('canary-release.release')

describe('a release', () => {
  test('prints its name, state and share', () => {
    using release = createRelease(options)
    expect(inspect(release)).toMatch(
      /^Release \{\s*name: 'orders-v2',\s*state: 'running',\s*share: '12.5 % \(125 of 1000 buckets on B\)',\s*counts:/,
    )
    release.rollback('too many errors', 'alice')
    expect(inspect(release)).toMatch(/state: 'rolled-back',\s*share: '0 % .*by: 'alice',\s*reason: 'too many errors'/s)
    expect(inspect({ a: { b: { release } } })).toContain('[Release orders-v2]')
    expect(String(release)).toBe('[object Release]')
  })

  test('closes at the end of a using block', () => {
    let kept: Release
    {
      using release = createRelease(options)
      kept = release
    }
    expect(() => kept.pause()).toThrow(expect.objectContaining({ code: 'ERR_CANARY_CLOSED' }))
    expect(kept.decide().release).toBe('orders-v2')
  })

  test('has no `once`: the name would promise an event emitter', () => {
    using release = createRelease(options)
    expect('once' in release).toBe(false)
    expect('off' in release).toBe(false)
  })

  test('is known to another copy of the package', async () => {
    vi.resetModules()
    const other = await import('../src/entries/index.js')
    expect(other.createRelease).not.toBe(createRelease)
    const upstreams = { A: () => 'A', B: () => 'B' }
    const release = other.createRelease({ ...options, upstreams, percentage: 100 })
    const handler = createHandler(release)
    expect(handler.release).toBe(release)
    const called: string[] = []
    release.on('decision', ({ upstream }) => called.push(upstream))
    const server = createServer((request, response) => {
      handler(request, response)
      response.end()
    })
    server.listen(0, '127.0.0.1')
    await once(server, 'listening')
    const { port } = server.address() as AddressInfo
    await (await fetch(`http://127.0.0.1:${port}/`)).text()
    expect(called).toEqual(['B'])
    server.close()
    await handler.close()
  })

  const imitations: Record<string, object> = {
    'of another major version': new Proxy(createRelease(options), {
      get: (target, name) => (name === BRAND ? 2 : Reflect.get(target, name)),
    }),
    'with nothing but the brand': { [BRAND]: 1 },
    'whose functions are none': { [BRAND]: 1, decideBy: true, on: 'yes', options: { plan: 1, upstreams: 2 } },
    'that throws when it is read': new Proxy(
      { [BRAND]: 1 },
      {
        get(target, name) {
          if (name === BRAND) return Reflect.get(target, name)
          throw new Error('hostile')
        },
      },
    ),
  }
  for (const [what, imitation] of Object.entries(imitations)) {
    test(`is not taken for an imitation ${what}`, () => {
      expect(() => Reflect.apply(createHandler, undefined, [imitation])).toThrow(
        expect.objectContaining({ code: 'ERR_CANARY_OPTION', message: expect.stringMatching(/^release must /) }),
      )
    })
  }
})

test('a handler closes at the end of an `await using` block, and not the release that it was given', async () => {
  using release = createRelease(options)
  {
    await using handler = createHandler(release)
    expect(handler.release).toBe(release)
  }
  expect(() => release.pause()).not.toThrow()
  let owned: Release | null
  {
    await using handler = canary(options)
    owned = handler.release
  }
  expect(() => owned?.pause()).toThrow(expect.objectContaining({ code: 'ERR_CANARY_CLOSED' }))
})

test('fail tells the release of a failure, whichever copy of the package decided', async () => {
  using release = createRelease({ ...options, percentage: 0, upstreams: { A: () => 'A', B: () => 'B' } })
  vi.resetModules()
  const other = await import('../src/entries/node.js')
  const handler = other.createHandler(release)
  const request = new IncomingMessage(new Socket())
  handler(request, new ServerResponse(request))
  fail(request, 'wrong total')
  fail(new IncomingMessage(new Socket()), 'decided by nobody')
  expect(release.status().counts.A).toEqual({ requests: 1, failures: 1 })
  await handler.close()
})

test('a mount refuses what is no registry, and says so', () => {
  const nothings: unknown[] = [null, 'registry', {}, Promise.resolve({}), { mount: true }]
  for (const registry of nothings) {
    expect(() => Reflect.apply(createHandler, undefined, [{ registry, service: 'orders' }])).toThrow(
      expect.objectContaining({
        code: 'ERR_CANARY_OPTION',
        message: expect.stringMatching(/^registry must be what createRegistry made, got /),
      }),
    )
  }
})

test('a proxy of a release can be printed', () => {
  const release = createRelease({ name: 'r', percentage: 10, upstreams: { A: 'http://a', B: 'http://b' } })
  expect(inspect(new Proxy(release, {}))).toBe('Release {}')
  release.close()
})
