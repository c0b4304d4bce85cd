import type { Decision, Outcome } from '../decision/decision.js'
import type { ForwardedRelease } from '../proxy/forward-call.js'
import type { Release } from '../release/release.js'
import type { ResolvedMountOptions } from '../release/options-schema.js'
import type { InForce } from './source.js'

/** Tells the application of each kind of problem once. */
type Report = (kind: string, error: unknown) => void

const NOWHERE = { kind: 'handler' } as const

/** A record's release at one place, with the settings of the mount that forwards for it. */
class PlacedRelease implements ForwardedRelease {
  readonly name: string
  readonly options: ForwardedRelease['options']
  readonly identity: object
  readonly #release: Release | null
  readonly #inForce: InForce
  readonly #report: Report

  constructor(inForce: InForce, { health, proxy, realIpHeader, ipv6Prefix }: ResolvedMountOptions, report: Report) {
    const { release, A, B } = inForce
    this.name = release?.name ?? ''
    this.options = {
      upstreams: { A, B: B ?? NOWHERE },
      upstreamFallback: release?.options.upstreamFallback ?? false,
      health,
      proxy,
      realIpHeader,
      ipv6Prefix,
    }
    this.identity = release ?? this
    this.#release = release
    this.#inForce = inForce
    this.#report = report
  }

  record(outcome: Outcome): void {
    this.#release?.record(outcome)
  }

  fallback(decision: Decision): Decision {
    return this.#release?.fallback(decision, this.#inForce.plan ?? undefined) ?? decision
  }

  reportOnce(kind: string, error: unknown): void {
    this.#report(kind, error)
  }
}

/** What forwarding is given for records: one object as long as nothing changes, so that it can keep health by it. */
export function createForwardedOf(mount: ResolvedMountOptions, report: Report): (inForce: InForce) => ForwardedRelease {
  const placed = new WeakMap<object, PlacedRelease>()
  return (inForce) => {
    // A place is made anew where its locations change, and so is the release's settings object where those change.
    const key = inForce.plan ?? inForce.A
    const known = placed.get(key)
    if (
      known !== undefined &&
      known.options.upstreamFallback === (inForce.release?.options.upstreamFallback ?? false)
    ) {
      return known
    }
    const created = new PlacedRelease(inForce, mount, report)
    placed.set(key, created)
    return created
  }
}
