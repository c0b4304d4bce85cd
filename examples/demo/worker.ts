import { listenAdmin } from '@canary-release/admin'
import type { ReleaseStatus } from '@canary-release/core'
import type { FrameworkName } from './arguments.js'
import { startGateway } from './gateway.js'
import { sentenceOf } from './listen.js'
import { RELEASE, openReleases } from './releases.js'
import type { GuardScene } from './scene.js'

/** What a worker is to do; it gets this as JSON in the environment's `DEMO_WORKER`. */
export interface WorkerTask {
  readonly framework: FrameworkName
  readonly port: number
  readonly adminPort: number
  /** Where the releases are kept: a file, or the URL of a server. */
  readonly place: string
  readonly processes: number
}

/** What a worker tells the process that started it. */
export type WorkerMessage =
  | { readonly kind: 'ready'; readonly port: number; readonly admin: string }
  /** What it could not begin with: a port in use, a store that cannot be reached. */
  | { readonly kind: 'failed'; readonly message: string }
  | { readonly kind: 'seen'; readonly counts: ReleaseStatus['counts']; readonly guard: GuardScene | null }

const EVERY_MS = 200

const tell = (message: WorkerMessage): void => void process.send?.(message, undefined, undefined, () => {})

async function work({ framework, port, adminPort, place, processes }: WorkerTask): Promise<void> {
  const registry = await openReleases(place, processes)
  const gateway = await startGateway(framework, registry, port)
  const admin = await listenAdmin({ registry, port: adminPort })
  const timer = setInterval(() => {
    const release = registry.release(RELEASE)
    if (release === null) return
    const report = release.guard?.report()
    const guard = report === undefined ? null : { ...report, evidence: report.evidence.combined }
    tell({ kind: 'seen', counts: release.status().counts, guard })
  }, EVERY_MS)
  process.once('SIGTERM', async () => {
    clearInterval(timer)
    await admin.close()
    await gateway.close()
    await registry.close()
    process.exit(0)
  })
  tell({ kind: 'ready', port: gateway.port, admin: admin.url })
}

// Ctrl-C reaches all processes of a terminal: here, the one that started this one says when to end.
process.on('SIGINT', () => {})

try {
  await work(JSON.parse(process.env['DEMO_WORKER'] ?? ''))
} catch (error) {
  tell({ kind: 'failed', message: sentenceOf(error) })
  process.once('SIGTERM', () => process.exit(1))
}
