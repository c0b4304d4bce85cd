// The same packages from CommonJS: Node's require() of ES modules.
import admin = require('@canary-release/admin')
import core = require('@canary-release/core')
import express = require('@canary-release/express')
import fastify = require('@canary-release/fastify')
import koa = require('@canary-release/koa')
import node = require('@canary-release/core/node')
import registry = require('@canary-release/core/registry')

const release: core.Release = core.createRelease({
  name: 'x',
  upstreams: { A: 'http://a', B: 'http://b' },
  percentage: 10,
})
express.canary(release).close satisfies () => Promise<void>
koa.canary(release).release satisfies core.Release | null
fastify.canary satisfies (...parameters: never[]) => unknown
node.createHandler(release).close satisfies (graceMs?: number) => Promise<void>
node.canary satisfies typeof node.createHandler
express.fail satisfies (request: never, reason: string) => void
registry.createRegistry({ store: registry.memoryStore() }) satisfies Promise<registry.Registry>
admin.listenAdmin satisfies (options: admin.ListenOptions) => Promise<admin.AdminServer>
// @ts-expect-error: no such export
core.createReleases
// @ts-expect-error: the registry has an entry of its own
core.createRegistry
