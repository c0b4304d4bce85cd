// Compiled by test/types.test.ts with `checkJs`: a program in JavaScript is checked by the same types.
import { createServer } from 'node:http'
import express from 'express'
import Koa from 'koa'
import Fastify from 'fastify'
import { createRelease, currentDecision } from '@canary-release/core'
import { requestsNeeded } from '@canary-release/core/guard'
import { canary as nodeCanary, fail } from '@canary-release/core/node'
import { createRegistry, memoryStore } from '@canary-release/core/registry'
import { canary as expressCanary } from '@canary-release/express'
import fastifyCanary from '@canary-release/fastify'
import { canary as koaCanary } from '@canary-release/koa'
import { adminHandler } from '@canary-release/admin'

const upstreams = { A: 'http://orders-v1:3000', B: 'http://orders-v2:3000' }

const options = { name: 'orders-v2', upstreams, percentage: 10, guard: { latency: { tolerate: 1.5 } } }
/** @type {import('@canary-release/core').Release} */
const release = createRelease(options)

const off = release.on('change', ({ status }) => void console.log(status.bucketsOnB))
off()
// @ts-expect-error: a release is no event emitter
release.once('change', () => {})
// @ts-expect-error: no such option
createRelease({ ...options, percentge: 10 })
// @ts-expect-error: true, false or the options of a guard
createRelease({ name: 'orders-v2', upstreams, percentage: 10, guard: 'on' })

express().use('/orders', expressCanary({ ...options, consumer: (request) => request.get('x-user') }))
new Koa().use(koaCanary({ ...options, consumer: (context) => context.get('x-user') }))
void Fastify().register(fastifyCanary, { prefix: '/orders', release })
createServer(nodeCanary(release))
createServer((request) => fail(request, currentDecision()?.upstream ?? 'nobody decided'))
requestsNeeded(0.001, 0.01, 0.1).toFixed()

const registry = await createRegistry({ store: memoryStore() })
express().use('/admin', adminHandler({ registry, token: 'a-long-random-text' }))
// @ts-expect-error: the registry is required
adminHandler({ token: 'a-long-random-text' })
