import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { type Registry, createRegistry, memoryStore, registryKeys } from '@canary-release/core/registry'
import { afterEach, expect, test } from 'vitest'
import { ask, echoOf } from './client.js'
import type { Stage } from './stage.js'

const SILENT = { info() {}, warn() {}, error() {} }
const DEAD_PORT = 9

/** Mounts whose releases are records: found by scope for each request, and in force from the change on. */
export function registry(stage: Stage): void {
  const opened: Registry[] = []
  afterEach(async () => {
    for (const made of opened.splice(0)) await made.close()
  })

  const portOf = (url: string) => Number(new URL(url).port)

  /** A registry whose service `orders` is at A, with a canary on it whose B is on another port of the same host. */
  async function withCanary(config: object, portOfB = portOf(stage.B())): Promise<Registry> {
    const made = await createRegistry({ store: memoryStore(), logger: SILENT })
    opened.push(made)
    await made.change('test', (draft) => {
      draft.create('services', { name: 'orders', url: stage.A() })
      const upstream = { upstream_host: '127.0.0.1', upstream_port: portOfB }
      draft.create(
        'plugins',
        { name: 'canary', config: { ...upstream, ...config } },
        { kind: 'services', key: 'orders' },
      )
    })
    return made
  }

  const pluginOf = (made: Registry) => made.list('plugins')?.rows[0]?.entity.id ?? ''
  const authenticate = (headers: Record<string, unknown>) =>
    headers['x-user'] === undefined ? {} : { id: headers['x-user'] }

  test('a change of the record is in force from the next request on', async () => {
    const made = await withCanary({ percentage: 0 })
    const { url } = await stage.mounted({ mounts: [{ source: { registry: made, service: 'orders' } }] })
    const id = pluginOf(made)
    for (const [config, name] of [
      [{ percentage: 100 }, 'B'],
      [{ percentage: 0 }, 'A'],
      [{ percentage: 100 }, 'B'],
    ] as const) {
      await made.change('test', (draft) => draft.patch('plugins', id, { config }))
      expect((await echoOf(url)).name).toBe(name)
    }
    await made.change('test', (draft) => draft.patch('plugins', id, { enabled: false }))
    expect((await echoOf(url)).name).toBe('A')
    await made.change('test', (draft) => draft.remove('plugins', id))
    expect((await echoOf(url)).name).toBe('A')
  })

  test('a consumer’s own release goes before that of the service', async () => {
    const made = await withCanary({ percentage: 0 })
    await made.change('test', (draft) => {
      draft.create('consumers', { username: 'alice' })
      const config = { upstream_host: '127.0.0.1', upstream_port: portOf(stage.B()), percentage: 100 }
      draft.create('plugins', { name: 'canary', config }, { kind: 'consumers', key: 'alice' })
    })
    const mounts = [{ source: { registry: made, service: 'orders' } }]
    const { url } = await stage.mounted({ mounts, authenticate })
    expect((await echoOf(url, { headers: { 'x-user': 'alice' } })).name).toBe('B')
    expect((await echoOf(url, { headers: { 'x-user': 'bob' } })).name).toBe('A')
    expect((await echoOf(url)).name).toBe('A')
  })

  test('a key of the registry says who calls, and a name in its place says nothing', async () => {
    const made = await withCanary({ percentage: 0 })
    const alice = await made.change('test', (draft) => {
      const { id } = draft.create('consumers', { username: 'alice', custom_id: 'c-1' }).entity
      draft.create('keyauth_credentials', { key: 's3cret' }, { kind: 'consumers', key: id })
      const config = { upstream_host: '127.0.0.1', upstream_port: portOf(stage.B()), percentage: 100 }
      draft.create('plugins', { name: 'canary', config }, { kind: 'consumers', key: id })
      return id
    })
    const source = { registry: made, service: 'orders', consumer: registryKeys(made) }
    const { url } = await stage.mounted({ mounts: [{ source }] })
    const nameFor = async (apikey: string) => (await echoOf(url, { headers: { apikey } })).name
    expect(await nameFor('s3cret')).toBe('B')
    for (const text of ['alice', 'c-1', alice, 's3crets']) expect([text, await nameFor(text)]).toEqual([text, 'A'])
    expect((await echoOf(url)).name).toBe('A')
    await made.change('test', (draft) => draft.remove('consumers', alice))
    expect(await nameFor('s3cret')).toBe('A')
  })

  test('where B cannot be connected to, A serves with upstream_fallback, and nobody without', async () => {
    const made = await withCanary({ percentage: 100, upstream_fallback: true }, DEAD_PORT)
    const { url } = await stage.mounted({ mounts: [{ source: { registry: made, service: 'orders' } }] })
    expect((await echoOf(url)).name).toBe('A')
    const id = pluginOf(made)
    expect(made.release(id)?.status().counts).toEqual({
      A: { requests: 0, failures: 0 },
      B: { requests: 1, failures: 1 },
      fallback: 1,
    })
    await made.change('test', (draft) => draft.patch('plugins', id, { config: { upstream_fallback: false } }))
    expect((await ask(url)).text).toBe('ERR_CANARY_UPSTREAM_CONNECT: upstream B could not be connected to')
  })

  /** A global canary over two services, whose Bs have the services' ports on another address: only the second's is up. */
  async function overTwoServices(health?: object) {
    const made = await createRegistry({ store: memoryStore(), logger: SILENT })
    opened.push(made)
    await made.change('test', (draft) => {
      draft.create('services', { name: 'one', url: stage.A() })
      draft.create('services', { name: 'two', url: stage.B() })
      draft.create('plugins', { name: 'canary', config: { upstream_host: '127.0.0.2', percentage: 100 } })
    })
    const up = createServer((_request, response) => void response.end('up'))
    await once(up.listen(portOf(stage.B()), '127.0.0.2'), 'listening')
    const mounts = ['one', 'two'].map((service) => ({
      prefix: `/${service}`,
      source: { registry: made, service, ...(health === undefined ? {} : { health }) },
    }))
    const { url } = await stage.mounted({ mounts })
    const close = (): void => {
      up.closeAllConnections()
      up.close()
    }
    return { one: `${url}/one`, two: `${url}/two`, close }
  }

  test('a global release loses the B of one service alone', async () => {
    const { one, two, close } = await overTwoServices()
    for (let i = 0; i < 5; i += 1) {
      expect((await ask(one)).text).toContain('upstream B could not be connected to')
      expect((await ask(two)).text).toBe('up')
    }
    expect((await ask(one)).text).toContain('upstream B is out of service')
    expect((await ask(two)).text).toBe('up')
    close()
  })

  test('a global release has the B of each service checked apart', async () => {
    const health = { path: '/', intervalMs: 20, timeoutMs: 1000, healthy: 1, unhealthy: 1 }
    const { one, two, close } = await overTwoServices(health)
    await expect.poll(async () => (await ask(one)).text).toContain('upstream B is out of service')
    for (let i = 0; i < 5; i += 1) {
      expect((await ask(two)).text).toBe('up')
      expect((await ask(one)).text).toContain('upstream B is out of service')
    }
    close()
  })

  test('a B that fails its health checks is left alone until it passes them', async () => {
    let status = 503
    const asked: string[] = []
    const upstream = createServer(({ url = '' }, response) => {
      if (url !== '/healthz') asked.push(url)
      response.writeHead(url === '/healthz' ? status : 200).end('B')
    })
    await once(upstream.listen(0, '127.0.0.1'), 'listening')
    const made = await withCanary(
      { percentage: 100, upstream_fallback: true },
      (upstream.address() as AddressInfo).port,
    )
    const health = { path: '/healthz', intervalMs: 20, timeoutMs: 1000, healthy: 1, unhealthy: 1 }
    const { url } = await stage.mounted({ mounts: [{ source: { registry: made, service: 'orders', health } }] })
    await expect.poll(async () => (await ask(url)).text).toContain('"name":"A"')
    const before = asked.length
    expect((await echoOf(url)).name).toBe('A')
    expect(asked).toHaveLength(before)
    status = 200
    await expect.poll(async () => (await ask(url)).text).toBe('B')
    upstream.closeAllConnections()
    upstream.close()
  })

  test('a rollback of the record holds for every mount of it', async () => {
    const made = await withCanary({ percentage: 100 })
    const source = { registry: made, service: 'orders' }
    const { url } = await stage.mounted({
      mounts: [
        { prefix: '/one', source },
        { prefix: '/two', source },
      ],
    })
    for (const path of ['/one', '/two']) expect((await echoOf(url + path)).name).toBe('B')
    made.release(pluginOf(made))?.rollback('bad numbers')
    for (const path of ['/one', '/two']) expect((await echoOf(url + path)).name).toBe('A')
  })

  test('a groups function that throws is reported once for the mount, and nobody is in a group', async () => {
    const made = await withCanary({ hash: 'allow', groups: ['staff'] })
    const errors: unknown[] = []
    const groups = () => {
      throw new Error('no directory')
    }
    const onError = (error: unknown) => errors.push(error)
    const { url } = await stage.mounted({
      mounts: [{ source: { registry: made, service: 'orders', groups, onError, logger: SILENT } }],
    })
    for (let i = 0; i < 3; i += 1) expect((await echoOf(url)).name).toBe('A')
    expect(errors).toEqual([new Error('no directory')])
  })
}
