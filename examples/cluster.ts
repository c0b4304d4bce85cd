import cluster, { type Worker } from 'node:cluster'
import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { type Running, runIfMain, startVersions } from './run.js'

const WORKERS = 2

/**
 * Two workers of `node:cluster` on one port and one file. Each takes changes by its Admin API and stores what its guard
 * does; all of it is in force in the other one. The environment's A and B may name other upstreams.
 */
export async function start(port: number): Promise<Running> {
  const versions = await startVersions()
  const { A = versions.A, B = versions.B } = process.env
  const folder = await mkdtemp(join(tmpdir(), 'canary-cluster-'))
  const exec = fileURLToPath(new URL('several-processes/gateway.js', import.meta.url))
  cluster.setupPrimary({ exec })
  const env = { PORT: String(port), FILE: join(folder, 'canaries.json'), A, B, PROCESSES: String(WORKERS) }
  const workers = Array.from({ length: WORKERS }, () => cluster.fork(env))
  const [address] = await Promise.all(workers.map(listening))
  let isClosing = false
  // One that dies is replaced, and goes on with what the file holds.
  cluster.on('exit', () => {
    if (!isClosing) cluster.fork(env)
  })
  return {
    url: `http://127.0.0.1:${address}`,
    close: async () => {
      isClosing = true
      await Promise.all(
        Object.values(cluster.workers ?? {}).map((worker) => (worker === undefined ? null : ended(worker))),
      )
      versions.close()
      await rm(folder, { recursive: true })
    },
  }
}

/** The port that a worker listens on; with port 0, all of them get the same. */
async function listening(worker: Worker): Promise<number> {
  const [address] = await Promise.race([once(worker, 'listening'), once(worker, 'exit')])
  if (typeof address !== 'object') throw new Error('a worker ended before it listened')
  return address.port
}

async function ended(worker: Worker): Promise<void> {
  const exit = once(worker, 'exit')
  worker.process.kill('SIGTERM')
  await exit
}

await runIfMain(
  import.meta.url,
  start,
  `curl URL/orders/1
curl -H 'x-canary: always' URL/orders/1
curl -i URL/release
curl -H 'Authorization: Bearer only-for-examples' -X PATCH URL/admin/plugins/orders-v2 --data config.percentage=50`,
)
