import { CanaryError } from '../errors.js'
import type { Forwarder } from './forwarder.js'
import type { ForwardCall, ForwardedRelease } from './forward-call.js'
import { Forwarding } from './forwarding.js'
import { HealthChecks } from './health/checks.js'
import { runWith } from '../request-context.js'
import { createUndiciForwarder } from './undici/forwarder.js'

/** Forwards decided requests; one for each mount. */
export interface Proxy {
  /** Forwards one request and calls its `done` exactly once; it never throws. */
  forward(call: ForwardCall): void
  /**
   * Starts, changes or stops the active health checks of a release, as its present options say; cheap to repeat. They
   * end by themselves when nobody else has the release any more.
   */
  watch(release: ForwardedRelease): void
  /** Lets running requests end within `graceMs`, then destroys what is left. @default 10000 */
  close(graceMs?: number): Promise<void>
}

export function createProxy(now: () => number = () => performance.now()): Proxy {
  const forwarders = new Set<Forwarder>()
  const checksOf = new WeakMap<object, HealthChecks>()
  const running = new Set<HealthChecks>()
  let own: Forwarder | null = null
  let closed: Promise<void> | null = null

  function forwarderOf({ options }: ForwardedRelease): Forwarder {
    const given = options.proxy.forwarder
    if (given !== null) {
      forwarders.add(given)
      return given
    }
    return (own ??= createUndiciForwarder())
  }

  function forward(call: ForwardCall): void {
    runWith(call.decision, () => {
      if (closed === null) new Forwarding(call, forwarderOf(call.release), proxy, now).start()
      else call.done(new CanaryError('ERR_CANARY_CLOSED', 'the canary is closed'))
    })
  }

  function watch(release: ForwardedRelease): void {
    if (closed !== null) return
    const key = release.identity ?? release
    let checks = checksOf.get(key)
    if (checks === undefined) {
      if (release.options.health === null) return
      checks = new HealthChecks(release, now, (ended) => running.delete(ended))
      checksOf.set(key, checks)
      running.add(checks)
    }
    checks.refresh(release)
  }

  async function closeAll(graceMs: number): Promise<void> {
    for (const checks of running) checks.stop()
    if (own !== null) forwarders.add(own)
    await Promise.all([...forwarders].map((forwarder) => forwarder.close(graceMs, proxy)))
  }

  const proxy: Proxy = {
    forward,
    watch,
    close: (graceMs = 10_000) => (closed ??= closeAll(graceMs)),
  }
  return proxy
}
