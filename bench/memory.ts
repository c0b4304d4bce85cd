// Memory under slow readers: `node --expose-gc bench/dist/memory.js --clients 1000 --megabytes 10 --rate 100`.
// Clients run in a process of their own, so that only the gateway's memory is measured.
import { fork } from 'node:child_process'
import { once } from 'node:events'
import { createServer, get } from 'node:http'
import type { AddressInfo } from 'node:net'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { createHandler } from '@canary-release/core/node'

const MB = 1_048_576
const { values } = parseArgs({
  options: {
    clients: { type: 'string', default: '1000' },
    megabytes: { type: 'string', default: '10' },
    /** KB/s of each client. */
    rate: { type: 'string', default: '100' },
    role: { type: 'string', default: 'gateway' },
    url: { type: 'string', default: '' },
  },
})
const [clients, megabytes, rate] = [Number(values.clients), Number(values.megabytes), Number(values.rate)]

if (values.role === 'upstream') await serveUpstream()
else if (values.role === 'clients') await readSlowly(values.url)
else await measureGateway()

async function serveUpstream(): Promise<void> {
  // The bench is over, or was interrupted.
  process.once('disconnect', () => process.exit())
  const chunk = Buffer.alloc(65_536, 'x')
  const server = createServer((_request, response) => {
    let left = (megabytes * MB) / chunk.length
    const more = () => {
      while (left > 0) {
        left -= 1
        if (!response.write(chunk)) return void response.once('drain', more)
      }
      response.end()
    }
    more()
  })
  await once(server.listen(0, '127.0.0.1', 4096), 'listening')
  process.send?.((server.address() as AddressInfo).port)
}

/** Each client takes `rate` KB in a second, and then waits for the next. */
async function readSlowly(url: string): Promise<void> {
  const one = () =>
    new Promise<number>((resolve, reject) => {
      get(url, { agent: false }, (response) => {
        let bytes = 0
        let allowance = (rate * 1024) / 10
        const timer = setInterval(() => {
          allowance = (rate * 1024) / 10
          response.resume()
        }, 100)
        response.on('data', (chunk: Buffer) => {
          bytes += chunk.length
          allowance -= chunk.length
          if (allowance <= 0) response.pause()
        })
        response.on('end', () => {
          clearInterval(timer)
          resolve(bytes)
        })
      }).on('error', reject)
    })
  const read = await Promise.all(Array.from({ length: clients }, one))
  process.send?.(read.reduce((sum, bytes) => sum + bytes, 0))
  process.disconnect()
}

async function measureGateway(): Promise<void> {
  const file = fileURLToPath(import.meta.url)
  const shared = ['--clients', String(clients), '--megabytes', String(megabytes), '--rate', String(rate)]
  const upstream = fork(file, ['--role', 'upstream', ...shared])
  const [upstreamPort] = (await once(upstream, 'message')) as [number]
  const handler = createHandler({
    name: 'memory',
    upstreams: { A: `http://127.0.0.1:${upstreamPort}`, B: `http://127.0.0.1:${upstreamPort}` },
    percentage: 50,
    proxy: { connections: 2048 },
  })
  const server = createServer(handler)
  await once(server.listen(0, '127.0.0.1', 4096), 'listening')
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/`

  const idle = await settled()
  const ends: NodeJS.MemoryUsage[] = []
  for (let run = 1; run <= 2; run += 1) {
    let peak = 0
    const timer = setInterval(() => (peak = Math.max(peak, process.memoryUsage.rss())), 50)
    const load = fork(file, ['--role', 'clients', '--url', url, ...shared])
    const [bytes] = (await once(load, 'message')) as [number]
    clearInterval(timer)
    const after = await settled()
    ends.push(after)
    const kept = after.heapUsed + after.external - idle.heapUsed - idle.external
    process.stdout.write(
      `run ${run}: ${(bytes / MB).toFixed(0)} MB to ${clients} clients; RSS at most ${mb(peak - idle.rss)} above idle (below 200), heapUsed + external ${mb(kept)} above idle after it (within 20)\n`,
    )
  }
  const [first, second] = ends
  process.stdout.write(`the second run raised RSS by ${mb((second?.rss ?? 0) - (first?.rss ?? 0))} (less than 20)\n`)
  upstream.kill()
  server.close()
  await handler.close(0)
}

function mb(bytes: number): string {
  return `${(bytes / MB).toFixed(1)} MB`
}

async function settled(): Promise<NodeJS.MemoryUsage> {
  for (let i = 0; i < 5; i += 1) {
    globalThis.gc?.()
    await new Promise((resolve) => setTimeout(resolve, 200))
  }
  return process.memoryUsage()
}
