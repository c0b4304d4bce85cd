import { once } from 'node:events'
import http from 'node:http'
import type { AddressInfo } from 'node:net'
import { expect, test } from 'vitest'
import type { Framework } from '../../src/adapter/framework.js'
import { type Mount, createMount } from '../../src/adapter/mount.js'
import { type NodeRequest, type NodeResponse, nodeFramework } from '../../src/adapter/node-framework.js'
import type { CanarySource } from '../../src/adapter/source.js'
import { createRelease } from '../../src/release/release.js'
import { ask, httpUpstream } from '../proxy/harness.js'
import { CANARY, addOrders, testRegistry } from '../registry/harness.js'

type Context = { readonly request: NodeRequest; readonly response: NodeResponse }

/** Counts what a framework is asked. */
function countingFramework(): { framework: Framework<Context, NodeRequest>; asked: Map<string, number> } {
  const asked = new Map<string, number>()
  const described = { ...nodeFramework, trust: () => () => false }
  const counted = Object.entries(described).map(([name, answer]) => {
    if (typeof answer !== 'function') return [name, answer]
    const counting = (...parameters: never[]): unknown => {
      asked.set(name, (asked.get(name) ?? 0) + 1)
      return Reflect.apply(answer, described, parameters)
    }
    return [name, counting]
  })
  return { framework: Object.fromEntries(counted) as typeof described, asked }
}

/** A server with nothing but a mount. */
async function serve(mount: Mount<Context, unknown>): Promise<AsyncDisposable & { readonly port: number }> {
  const server = http.createServer((request, response) => {
    mount.route({ request, response }).forward({
      done: (error) => {
        if (error !== null) response.writeHead(error.status).end(error.message)
      },
      handle: () => response.end(),
    })
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  return {
    port,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections()
      server.close()
      await mount.close(0)
    },
  }
}

test.each(['code', 'registry'])('asks the framework nothing twice, for a release of a %s', async (kind) => {
  await using upstream = await httpUpstream((_request, response) => void response.end('B'))
  await using registry = await testRegistry()
  await registry.change('test', (draft) => {
    draft.create('services', { name: 'orders', url: 'http://orders-v1' })
    const config = { upstream_host: '127.0.0.1', upstream_port: upstream.port, percentage: 100, hash: 'ip' }
    draft.create('plugins', { name: 'canary', config }, { kind: 'services', key: 'orders' })
  })
  const upstreams = { A: 'http://orders-v1', B: `http://127.0.0.1:${upstream.port}` }
  const source: CanarySource<NodeRequest> =
    kind === 'code' ? { name: 'x', upstreams, percentage: 100, hash: 'ip' } : { registry, service: 'orders' }
  const { framework, asked } = countingFramework()
  await using front = await serve(createMount(source, framework))
  expect(await ask(front.port)).toMatchObject({ status: 200, body: 'B' })
  expect([...asked].filter(([, times]) => times !== 1)).toEqual([])
  expect([...asked.keys()]).toEqual(expect.arrayContaining(['raw', 'response', 'path', 'trust', 'decided']))
})

test('refuses a release of a registry, whose upstreams only a mount on the registry knows', async () => {
  await using registry = await testRegistry()
  await addOrders(registry)
  const { entity } = await registry.change('test', (draft) =>
    draft.create('plugins', CANARY, { kind: 'services', key: 'orders' }),
  )
  const release = registry.release(entity.id)
  if (release === null) throw new Error('no release')
  expect(() => createMount(release, nodeFramework)).toThrow(/^canary must not get a release of a registry/)
})

test('two mounts of one release report a problem once', async () => {
  await using upstream = await httpUpstream((_request, response) => void response.end('A'))
  const reported: unknown[] = []
  const A = `http://127.0.0.1:${upstream.port}`
  const release = createRelease({
    name: 'x',
    upstreams: { A, B: A },
    percentage: 50,
    consumer: () => {
      throw new Error('no session')
    },
    onError: (error) => reported.push(error),
  })
  await using first = await serve(createMount(release, nodeFramework))
  await using second = await serve(createMount(release, nodeFramework))
  for (const { port } of [first, second, first]) expect(await ask(port)).toMatchObject({ status: 200 })
  expect(reported).toMatchObject([{ message: 'no session' }])
})
