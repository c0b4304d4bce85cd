import { attempt, errorText } from '../hook.js'
import type { ResolvedMountOptions } from '../release/options-schema.js'
import type { Release } from '../release/release.js'
import type { RequestReading } from '../request/request-facts.js'
import { TRUST_NOBODY, compileTrust } from '../request/trust.js'
import type { Framework } from './framework.js'

type ReadingOptions = Pick<
  ResolvedMountOptions,
  'consumer' | 'groups' | 'trustedIps' | 'realIpHeader' | 'logger' | 'onError'
>

/** Compiles how a mount's requests are read. Problems are told once: by the release, or by the mount of a registry. */
export function compileReading<Context, Request>(
  framework: Framework<Context, Request>,
  options: ReadingOptions,
  release: Release | null,
): RequestReading<Context> {
  const { consumer, groups, trustedIps, realIpHeader, logger, onError } = options
  const trust = trustedIps === null ? null : compileTrust(trustedIps)
  const once = release === null ? createOnce() : (kind: string, tell: () => unknown) => release.tellOnce(kind, tell)
  return {
    consumer: consumer === null ? null : callWith(consumer, framework.request),
    groups: groups === null ? null : callWith(groups, framework.request),
    user: framework.user,
    trustConfigured: trust === null ? framework.trustConfigured : () => true,
    trust: trust === null ? (framework.trust ?? (() => TRUST_NOBODY)) : () => trust,
    address: trust === null ? framework.address : null,
    realIpHeader,
    report: (kind, error) =>
      once(kind, () => (onError === null ? logger.error(`canary: ${kind}: ${errorText(error)}`) : onError(error))),
    warn: (kind, message) => once(kind, () => logger.warn(`canary: ${message}`)),
  }
}

function callWith<Context, Request>(
  given: (request: never) => unknown,
  requestOf: (context: Context) => Request,
): (context: Context) => unknown {
  // The adapter's own type for these functions takes what `requestOf` gives; the checked options have lost it.
  const call = given as (request: Request) => unknown
  return (context) => call(requestOf(context))
}

function createOnce(): (kind: string, tell: () => unknown) => void {
  const told = new Set<string>()
  return (kind, tell) => {
    if (told.has(kind)) return
    told.add(kind)
    attempt(tell)
  }
}
