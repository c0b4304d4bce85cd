import { createServer as createPlainServer } from 'node:http'
import { readFile } from 'node:fs/promises'
import { adminHandler } from '@canary-release/admin'
import { type Store, createRegistry, parseDeclarative } from '@canary-release/core/registry'
import { canary, createServer } from '@canary-release/express'
import { postgresStore } from '@canary-release/postgres'
import { redisStore } from '@canary-release/redis'
import express from 'express'

/**
 * What a container runs: a gateway on one port, and for operators `/status` and the Admin API on another. All containers
 * keep one registry, in Redis or PostgreSQL. The environment says where:
 *
 * - STORE: `redis://…`, `rediss://…` or `postgres://…`
 * - ADMIN_TOKEN: what the Admin API asks for, 16 characters or more
 * - INITIAL: a declarative file, for a store that holds nothing yet
 * - TRUSTED_IPS: of proxies before it, separated by commas: what they say of a client's address is believed
 * - CACHE: a file that keeps the last state, so that a container can begin while the store is away
 */
const {
  STORE = '',
  ADMIN_TOKEN = '',
  TRUSTED_IPS = '',
  INITIAL,
  CACHE,
  PORT = '8000',
  ADMIN_PORT = '8001',
} = process.env

/** Requests under way may end in this time, in milliseconds. */
const GRACE_MS = 20_000

// As process 1 of a container, a program ends by a signal only if it handles it: also while the store is opened.
let end = async (): Promise<void> => process.exit(0)
for (const signal of ['SIGTERM', 'SIGINT'] as const) process.on(signal, () => void end())

const storeAt = (url: string): Store =>
  url.startsWith('redis') ? redisStore({ url }) : postgresStore({ connectionString: url })

const registry = await createRegistry({
  store: storeAt(STORE),
  initial: INITIAL === undefined ? undefined : await parseDeclarative(await readFile(INITIAL, 'utf8')),
  cache: CACHE,
  guard: true,
})

const app = express()
const orders = canary({ registry, service: 'orders', trustedIps: TRUSTED_IPS.split(',').filter((text) => text !== '') })
app.use('/orders', orders)
const gateway = createServer(app)

let isEnding = false
const operations = express()
// A gateway whose store is away serves all the same, so it stays ready.
operations.get('/status', (_request, response) => {
  response.status(isEnding ? 503 : 200).json({ store: registry.storeStatus })
})
operations.use('/admin', adminHandler({ registry, token: ADMIN_TOKEN }))
const operators = createPlainServer(operations)

gateway.listen(Number(PORT))
operators.listen(Number(ADMIN_PORT))

end = async () => {
  if (isEnding) return
  isEnding = true
  gateway.close()
  await orders.close(GRACE_MS)
  gateway.closeAllConnections()
  operators.close()
  operators.closeAllConnections()
  // What the guard found last is stored.
  await registry.close()
  process.exit(0)
}
