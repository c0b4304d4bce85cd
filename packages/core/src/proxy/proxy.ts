import { randomBytes } from 'node:crypto'
import { CanaryError } from '../errors.js'
import { AwaitedHooks } from './awaited-hooks.js'
import { UnderWay } from './connections/under-way.js'
import type { Forwarder } from './forwarder.js'
import type { ForwardCall, Transport } from './forward-call.js'
import { Forwarding } from './forwarding.js'
import { WatchedPlaces } from './health/watched-places.js'
import type { ResolvedHealthOptions } from './options.js'
import { supervised } from './supervised-forwarder.js'
import type { Place } from '../place.js'
import { runWith } from '../request-context.js'
import { createUndiciForwarder } from './undici/forwarder.js'

/** Forwards decided requests; one for each mount. */
export interface Proxy {
  /** Eight hex digits, of no meaning: what the mount is known by to itself, where a request comes back. */
  readonly id: string
  /** Forwards one request and calls its `done` exactly once; it never throws. */
  forward(call: ForwardCall): void
  /**
   * Starts, changes or stops the active health checks of a place's B; cheap to repeat. They end by themselves when nobody
   * else has the place any more.
   */
  watch(place: Place, health: ResolvedHealthOptions): void
  /** Lets running requests end within `graceMs`, then destroys what is left. @default 10000 */
  close(graceMs?: number): Promise<void>
}

export function createProxy(now: () => number = () => performance.now()): Proxy {
  /** Those given by releases, each with what stands between it and the requests. */
  const forwarders = new Map<Forwarder, Forwarder>()
  const hooks = new AwaitedHooks()
  const underWay = { networks: new UnderWay(), tunnels: new UnderWay() }
  const checks = new WatchedPlaces(now)
  let own: Forwarder | null = null
  let closed: Promise<void> | null = null

  function forwarderOf({ proxy: { forwarder: given } }: Transport): Forwarder {
    if (given === null) return (own ??= createUndiciForwarder())
    let forwarder = forwarders.get(given)
    if (forwarder === undefined) {
      forwarder = supervised(given)
      forwarders.set(given, forwarder)
    }
    return forwarder
  }

  function forward(call: ForwardCall): void {
    runWith(call.decision, () => {
      if (closed === null) new Forwarding(call, forwarderOf(call.transport), proxy, hooks, underWay, now).start()
      else call.done(new CanaryError('ERR_CANARY_CLOSED', 'the canary is closed'))
    })
  }

  async function closeAll(graceMs: number): Promise<void> {
    checks.stop()
    const began = performance.now()
    await hooks.close(graceMs)
    const left = Math.max(0, graceMs - (performance.now() - began))
    const all = [...forwarders.values(), ...(own === null ? [] : [own])]
    // Each is closed, whatever another one does.
    const results = await Promise.allSettled(all.map((forwarder) => forwarder.close(left, proxy)))
    for (const result of results) if (result.status === 'rejected') throw result.reason
  }

  const proxy: Proxy = {
    id: randomBytes(4).toString('hex'),
    forward,
    watch: (place, health) => {
      if (closed === null) checks.watch(place, health)
    },
    close: (graceMs = 10_000) => (closed ??= closeAll(graceMs)),
  }
  return proxy
}
