import cluster, { type Worker } from 'node:cluster'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import type { ReleaseStatus } from '@canary-release/core'
import type { GuardScene } from './scene.js'
import type { WorkerMessage, WorkerTask } from './worker.js'

type Counts = ReleaseStatus['counts']

/** Several processes with a gateway and an Admin API each, on two ports that they share. */
export interface Workers {
  readonly port: number
  readonly admin: string
  /** What all of them have counted. */
  counts(): Counts
  /** The guard that has seen most: each judges its own requests. */
  guard(): GuardScene | null
  close(): Promise<void>
}

/** @throws what the first one that cannot begin has thrown */
export async function startWorkers(task: WorkerTask): Promise<Workers> {
  const seen = new Map<number, WorkerMessage & { kind: 'seen' }>()
  cluster.setupPrimary({ exec: fileURLToPath(new URL('worker.js', import.meta.url)) })
  const workers = Array.from({ length: task.processes }, () => cluster.fork({ DEMO_WORKER: JSON.stringify(task) }))
  for (const worker of workers) {
    worker.on('message', (message: WorkerMessage) => {
      if (message.kind === 'seen') seen.set(worker.id, message)
    })
    // One that ends while it is written to: what it would have heard is no news any more.
    worker.on('error', () => {})
  }
  const close = async () => {
    await Promise.all(workers.map(end))
  }
  try {
    const [first] = await Promise.all(workers.map(begun))
    if (first === undefined) throw new Error('there are no workers')
    return {
      port: first.port,
      admin: first.admin,
      counts: () => [...seen.values()].map(({ counts }) => counts).reduce(sum, NOTHING),
      guard: () => [...seen.values()].map(({ guard }) => guard).reduce(most, null),
      close,
    }
  } catch (error) {
    await close()
    throw error
  }
}

const NOTHING: Counts = { A: { requests: 0, failures: 0 }, B: { requests: 0, failures: 0 }, fallback: 0 }

function sum(one: Counts, other: Counts): Counts {
  const side = (name: 'A' | 'B') => ({
    requests: one[name].requests + other[name].requests,
    failures: one[name].failures + other[name].failures,
  })
  return { A: side('A'), B: side('B'), fallback: one.fallback + other.fallback }
}

function most(one: GuardScene | null, other: GuardScene | null): GuardScene | null {
  return one !== null && (other === null || one.evidence >= other.evidence) ? one : other
}

async function begun(worker: Worker): Promise<WorkerMessage & { kind: 'ready' }> {
  const [message]: unknown[] = await Promise.race([once(worker, 'message'), once(worker, 'exit')])
  if (isMessage(message) && message.kind === 'ready') return message
  if (isMessage(message) && message.kind === 'failed') throw new Error(message.message)
  throw new Error('a process of the demo ended before it listened')
}

const isMessage = (value: unknown): value is WorkerMessage => typeof value === 'object' && value !== null

async function end(worker: Worker): Promise<void> {
  if (worker.isDead()) return
  const exit = once(worker, 'exit')
  worker.process.kill('SIGTERM')
  await exit
}
