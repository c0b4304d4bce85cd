import { adminHandler } from '@canary-release/admin'
import { createRegistry, fileStore, parseDeclarative } from '@canary-release/core/registry'
import { canary, createServer } from '@canary-release/express'
import express from 'express'
import { listen } from '../demo/listen.js'

/**
 * What each process runs: a gateway with the Admin API, on a registry that all of them keep in one file. The environment
 * says where: PORT, FILE, A, B, and how many PROCESSES there are.
 */
const {
  PORT = '8000',
  FILE = 'canaries.json',
  A = '',
  B = '',
  PROCESSES = '1',
  ADMIN_TOKEN = 'only-for-examples',
} = process.env
const upstream = new URL(B)

// Whoever begins first writes these; for all others, what the file holds counts.
const initial = await parseDeclarative(
  JSON.stringify({
    _format_version: '3.0',
    services: [
      {
        name: 'orders',
        url: A,
        plugins: [
          {
            name: 'canary',
            instance_name: 'orders-v2',
            config: {
              percentage: 10,
              hash: 'none',
              upstream_host: upstream.hostname,
              upstream_port: Number(upstream.port),
              canary_by_header_name: 'x-canary',
            },
          },
        ],
      },
    ],
  }),
)
const registry = await createRegistry({
  store: fileStore(FILE),
  initial,
  // Each process judges by its own requests: so many judge, and together they keep the promise.
  guard: { judges: Number(PROCESSES) },
  logger: { info() {}, warn() {}, error: (message) => process.stderr.write(`${message}\n`) },
})

const app = express()
app.use((_request, response, next) => {
  response.set('x-process', String(process.pid))
  next()
})
app.use('/admin', adminHandler({ registry, token: ADMIN_TOKEN }))
app.get('/release', (_request, response) => {
  response.json(registry.release('orders-v2')?.status())
})
const orders = canary({ registry, service: 'orders' })
app.use('/orders', orders)
const server = createServer(app)
await listen(server, Number(PORT))

let isEnding = false
async function end(): Promise<void> {
  if (isEnding) return
  isEnding = true
  server.close()
  await orders.close()
  server.closeAllConnections()
  await registry.close()
  process.exit(0)
}
// What node:cluster's primary, PM2 and a terminal send.
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, () => void end())
