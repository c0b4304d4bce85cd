import { type Release, createRelease } from '@canary-release/core'
import { canary, createServer } from '@canary-release/express'
import express from 'express'
import { type Running, runIfMain, serve, startVersions } from './run.js'

export interface RampExample extends Running {
  readonly release: Release
}

/**
 * All of the traffic moves from A to B, linearly, in 20 seconds. Each user goes over once, at a moment that `explain`
 * knows beforehand, and never back. A test gives it a clock of its own and need not wait.
 */
export async function startRamp(port: number, clock: () => number = Date.now): Promise<RampExample> {
  const { A, B, close } = await startVersions()
  const release = createRelease({
    name: 'orders-v2',
    upstreams: { A, B },
    // In production a fixed moment, such as '2027-03-01T09:00:00Z': "now" would begin anew at every restart.
    start: new Date(clock()),
    duration: 20,
    clock,
  })
  const app = express()
  app.use((request, _response, next) => {
    // Whoever asks is alice: in the place of your authentication.
    Object.assign(request, { user: 'alice' })
    next()
  })
  const orders = canary(release)
  app.use('/orders', orders)
  const running = await serve(createServer(app), port, orders.close, () => release.close(), close)
  return { ...running, release }
}

/** Says each second how far the release is, until all buckets are on B. */
function watch(release: Release): void {
  const timer = setInterval(() => {
    const { state, bucketsOnB, steps } = release.status()
    process.stdout.write(
      `${(100 * bucketsOnB) / steps} % on B, alice on ${release.decide({ consumer: 'alice' }).upstream}\n`,
    )
    if (state === 'complete') clearInterval(timer)
  }, 1000)
}

await runIfMain(
  import.meta.url,
  async (port) => {
    const example = await startRamp(port)
    const { goesToB } = example.release.explain({ consumer: 'alice' })
    process.stdout.write(`alice goes over to B at ${goesToB?.date}\n`)
    watch(example.release)
    return example
  },
  'curl URL/orders/1',
)
