import { type Release, createRelease } from '@canary-release/core'
import { canary, createServer } from '@canary-release/express'
import express from 'express'
import { type Running, runIfMain, serve, startVersions } from './run.js'

/** How B fails once the release is far enough. */
const BAD_FROM_BUCKETS = 200
const BAD_RATE = 0.3

export interface GuardExample extends Running {
  readonly release: Release
  /** Sends requests until the guard has acted, and says each second how the evidence grows. */
  watch(say: (line: string) => void): Promise<string>
}

/** B turns bad at 20 %: the guard sees it and rolls back. */
export async function startGuarded(port: number): Promise<GuardExample> {
  const { A, B, fail, close } = await startVersions()
  const release = createRelease({
    name: 'orders-v2',
    upstreams: { A, B },
    start: new Date(),
    duration: 20,
    hash: 'none',
    guard: { latency: false },
    logger: { info() {}, warn() {}, error() {} },
  })
  const app = express()
  const orders = canary(release)
  app.use(orders)
  const running = await serve(createServer(app), port, orders.close, () => release.close(), close)

  async function watch(say: (line: string) => void): Promise<string> {
    let said = 0
    for (;;) {
      const { state, bucketsOnB, steps, reason } = release.status()
      if (state === 'rolled-back') return reason ?? state
      if (bucketsOnB >= BAD_FROM_BUCKETS) fail(BAD_RATE)
      await Promise.all(Array.from({ length: 10 }, () => fetch(running.url).then((response) => response.text())))
      if (Date.now() - said < 1000) continue
      said = Date.now()
      const evidence = release.guard?.report().evidence.combined ?? 0
      say(`${((100 * bucketsOnB) / steps).toFixed(1)} % on B, evidence ${evidence.toFixed(1)} of 100`)
    }
  }

  return { ...running, release, watch }
}

await runIfMain(
  import.meta.url,
  async (port) => {
    const example = await startGuarded(port)
    const print = (line: string) => void process.stdout.write(`${line}\n`)
    // Ctrl-C closes the gateway under the requests that are sent.
    void example.watch(print).then(print, () => {})
    return example
  },
  'A release on URL that moves to B in 20 seconds; from 20 % on, B fails a third of its requests.',
)
