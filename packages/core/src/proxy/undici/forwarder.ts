import { inRoot } from '../../request-context.js'
import { ConnectionPool } from './connection-pool.js'
import { Deadlines } from './deadlines.js'
import type { Attempt, AttemptResult, Forwarder } from '../forwarder.js'
import { HttpExchange } from './exchange.js'
import { Tunnels } from '../upgrade/tunnel.js'
import { Upgrade } from '../upgrade/upgrade.js'

/** A pool nobody used for between one and two of these is closed: a registry may know thousands of upstreams. */
const IDLE_MS = 30_000

/** The forwarder that is used unless another is given: undici for HTTP, `node:http` for upgrades. */
export function createUndiciForwarder(idleMs = IDLE_MS): Forwarder {
  const pools = new Map<string, ConnectionPool>()
  const deadlines = new Deadlines()
  const tunnels = new Tunnels()
  let sweeper: NodeJS.Timeout | null = null

  function sweep(): void {
    for (const [key, pool] of pools) {
      if (!pool.used && pool.running === 0) {
        pool.destroy()
        pools.delete(key)
      } else pool.endOld()
      pool.used = false
    }
    if (pools.size > 0 || sweeper === null) return
    clearInterval(sweeper)
    sweeper = null
  }

  function poolOf({ upstream, settings }: Attempt): ConnectionPool {
    let pool = pools.get(upstream.poolKey)
    if (pool === undefined) {
      pool = new ConnectionPool(upstream)
      pools.set(upstream.poolKey, pool)
      sweeper ??= inRoot(() => setInterval(sweep, idleMs).unref())
    }
    pool.connectTimeoutMs = settings.connectTimeoutMs
    pool.maxAgeMs = settings.connectionMaxAgeMs
    pool.limit = settings.connections
    return pool
  }

  function forward(attempt: Attempt, head: (status: number) => void, done: (result: AttemptResult) => void): void {
    if (attempt.upgrade !== null) new Upgrade(attempt, attempt.upgrade, tunnels, head, done).start()
    else new HttpExchange(attempt, poolOf(attempt), deadlines, head, done).start()
  }

  async function close(graceMs = 10_000): Promise<void> {
    await Promise.all([deadlines.drain(graceMs), tunnels.drain(graceMs)])
    for (const pool of pools.values()) pool.destroy()
    pools.clear()
    if (sweeper !== null) clearInterval(sweeper)
    sweeper = null
  }

  return { forward, close }
}
