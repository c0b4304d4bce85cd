// Compiled by test/types.test.ts: the registry, the Admin API, the guard and http-proxy as a program uses them.
import { type AdminServer, adminHandler, listenAdmin } from '@canary-release/admin'
import { createRelease } from '@canary-release/core'
import type { GuardReport } from '@canary-release/core/guard'
import { httpProxyForwarder } from '@canary-release/core/http-proxy'
import { createHandler } from '@canary-release/core/node'
import {
  type Registry,
  type Store,
  createRegistry,
  fileStore,
  memoryStore,
  parseDeclarative,
  registryKeys,
} from '@canary-release/core/registry'
import { canary as expressCanary } from '@canary-release/express'
import { canary as fastifyCanary } from '@canary-release/fastify'
import { canary as koaCanary } from '@canary-release/koa'
import express from 'express'
import Fastify from 'fastify'
import httpProxy from 'http-proxy'
import Koa from 'koa'
import { createServer } from 'node:http'

const stores: readonly Store[] = [memoryStore(), fileStore('canary.json'), fileStore('canary.json', { readOnly: true })]
// @ts-expect-error: the path is required
fileStore()

const [store = memoryStore()] = stores
const registry: Registry = await createRegistry({ store, guard: { alpha: 0.001 }, logger: undefined })
// @ts-expect-error: a registry needs a store
await createRegistry({})
// @ts-expect-error: a promise is no registry
createHandler({ registry: createRegistry({ store }), service: 'orders' })

registry.version satisfies number
registry.storeStatus.connected satisfies boolean
parseDeclarative('', { otherPlugins: 'skip' }).then(({ skipped }) => skipped.map(({ line }) => line)) satisfies Promise<
  number[]
>
// @ts-expect-error: the version is the registry's to say
registry.version = 2
registry.get('services', 'orders')?.entity.host satisfies string | undefined
// @ts-expect-error: no such kind
registry.get('upstreams', 'orders')
registry.list('plugins', { size: 10, of: undefined, tags: { all: ['a'] }, where: { name: 'x' } })?.rows
  .length satisfies number | undefined
const off: () => void = registry.on('change', ({ version, by }) => [
  version satisfies number,
  by satisfies string | null,
])
off()
await registry.move('orders-v2', 'restart', null, 'alice', { percentage: 5 })
await registry.move('orders-v2', 'restart', 'again', 'alice', { start: new Date(), duration: '1h' })
// @ts-expect-error: a restart changes the share alone
await registry.move('orders-v2', 'restart', null, 'alice', { steps: 5 })
// @ts-expect-error: no such move
await registry.move('orders-v2', 'stop', null, 'alice')

// Every adapter takes a place in it.
const place = { registry, service: 'orders' }
express().use('/orders', expressCanary({ ...place, consumer: (request) => request.get('x-user') }))
new Koa().use(koaCanary({ ...place, consumer: (context) => context.get('x-user') }))
void Fastify().register(fastifyCanary, { ...place, prefix: '/orders' })
createServer(createHandler({ registry, route: 'orders', service: undefined }))
const consumer = registryKeys(registry, { header: 'x-api-key', query: undefined })
express().use('/orders', expressCanary({ ...place, consumer }))
new Koa().use(koaCanary({ ...place, consumer }))
void Fastify().register(fastifyCanary, { ...place, prefix: '/orders', consumer })
createServer(createHandler({ ...place, consumer: registryKeys(registry) }))
// @ts-expect-error: the options are named
registryKeys(registry, 'x-api-key')
// @ts-expect-error: a place is named by text
createHandler({ registry, service: 1 })

const admin: AdminServer = await listenAdmin({ registry, port: 0, token: undefined })
admin.url satisfies string
express().use('/admin', adminHandler({ registry, token: 'a-long-random-text', showKeys: true }))
// @ts-expect-error: a flag is true or false
adminHandler({ registry, showKeys: 'yes' })
// @ts-expect-error: the registry is required
adminHandler({ token: 'a-long-random-text' })

const upstreams = { A: 'http://orders-v1:3000', B: 'http://orders-v2:3000' }
const forwarder = httpProxyForwarder(httpProxy.createProxyServer())
const guarded = createRelease({ name: 'x', upstreams, percentage: 10, guard: true, proxy: { forwarder } })
guarded.guard?.report() satisfies GuardReport | undefined
// @ts-expect-error: no such option of the guard
createRelease({ name: 'x', upstreams, percentage: 10, guard: { alfa: 0.001 } })
