import { type AdminServer, listenAdmin } from '@canary-release/admin'
import type { Registry } from '@canary-release/core/registry'
import type { DemoArguments } from './arguments.js'
import { startGateway } from './gateway.js'
import { Ledger } from './ledger.js'
import type { Scene } from './scene.js'
import { CONSUMERS, RELEASE, createReleases } from './releases.js'
import { VISITORS, startTraffic } from './traffic.js'
import { startUpstream } from './upstream.js'
import { startWorkers } from './workers.js'

const PER_SECOND = 200
const BAD_RATE = 0.05

/** A demo that runs. */
export interface Demo {
  readonly framework: string
  readonly processes: number
  readonly gateway: string
  readonly admin: string
  /** Where the releases are kept, for a person. */
  readonly kept: string
  scene(): Scene
  /** Ends everything that was started. */
  close(): Promise<void>
}

/**
 * Starts upstreams, releases, gateway, Admin API and traffic; where one of them fails, ends the others again.
 *
 * @throws what the failing one threw
 */
export async function startDemo(args: DemoArguments, random: () => number = Math.random): Promise<Demo> {
  const closing: (() => unknown)[] = []
  const close = async () => {
    for (const end of closing.splice(0).reverse()) await end()
  }
  try {
    return { ...(await start(args, random, closing)), close }
  } catch (error) {
    await close()
    throw error
  }
}

async function start(
  args: DemoArguments,
  random: () => number,
  closing: (() => unknown)[],
): Promise<Omit<Demo, 'close'>> {
  const A = await startUpstream('version 1 (A)', random)
  closing.push(A.close)
  const B = await startUpstream('version 2 (B)', random)
  closing.push(B.close)
  const { registry, place, shown, begin, close } = await createReleases(args, { A: A.url, B: B.url })
  closing.push(close)
  const { port, admin, seen, close: closeServing } = await serve(args, registry, place)
  closing.push(closeServing)
  await begin()

  const startedAt = Date.now()
  const ledger = new Ledger()
  const traffic = startTraffic({
    port,
    perSecond: PER_SECOND,
    random,
    bucketsOnB: () => registry.release(RELEASE)?.status().bucketsOnB ?? 0,
    onAnswer: (answer) => ledger.served(answer),
  })
  closing.push(traffic.stop)
  if (args.badAfter !== null) {
    const timer = setTimeout(() => B.fail(BAD_RATE), args.badAfter * 1000)
    closing.push(() => clearTimeout(timer))
  }

  return {
    framework: args.framework,
    processes: args.processes,
    gateway: `http://127.0.0.1:${port}`,
    admin,
    kept: shown,
    scene: () => sceneOf(seen(), ledger, Math.round((Date.now() - startedAt) / 1000)),
  }
}

/** What serves the requests: gateway and Admin API, in this process or in several others. */
interface Serving {
  readonly port: number
  readonly admin: string
  seen(): Pick<Scene, 'status' | 'guard'>
  close(): Promise<void>
}

async function serve(args: DemoArguments, registry: Registry, place: string): Promise<Serving> {
  const { framework, port, adminPort, processes } = args
  if (processes > 1) {
    const workers = await startWorkers({ framework, port, adminPort, place, processes })
    const seen = () => {
      const status = registry.release(RELEASE)?.status()
      return { status: status === undefined ? null : { ...status, counts: workers.counts() }, guard: workers.guard() }
    }
    return { ...workers, seen }
  }
  const gateway = await startGateway(framework, registry, port)
  let admin: AdminServer
  try {
    admin = await listenAdmin({ registry, port: adminPort })
  } catch (error) {
    await gateway.close()
    throw error
  }
  const seen = () => {
    const release = registry.release(RELEASE)
    const report = release?.guard?.report()
    const guard = report === undefined ? null : { ...report, evidence: report.evidence.combined }
    return { status: release?.status() ?? null, guard }
  }
  const close = async () => {
    await admin.close()
    await gateway.close()
  }
  return { port: gateway.port, admin: admin.url, seen, close }
}

function sceneOf({ status, guard }: Pick<Scene, 'status' | 'guard'>, ledger: Ledger, seconds: number): Scene {
  return {
    seconds,
    status,
    guard,
    measured: ledger.measured,
    requests: ledger.requests,
    moved: ledger.moved,
    callers: CONSUMERS + VISITORS,
    wentBack: ledger.wentBack,
  }
}
