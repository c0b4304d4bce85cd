import type { ResolvedMountOptions } from '../release/options-schema.js'
import type { RequestReading } from '../request/request-facts.js'
import { TRUST_NOBODY, compileTrust } from '../request/trust.js'
import type { Framework } from './framework.js'

type ReadingOptions = Pick<ResolvedMountOptions, 'consumer' | 'groups' | 'trustedIps' | 'realIpHeader'>

/** Compiles how a mount's requests are read. */
export function compileReading<Context, Request>(
  framework: Framework<Context, Request>,
  { consumer, groups, trustedIps, realIpHeader }: ReadingOptions,
  reports: RequestReading<Context>['reports'],
): RequestReading<Context> {
  const trust = trustedIps === null ? null : compileTrust(trustedIps)
  return {
    consumer: consumer === null ? null : callWith(consumer, framework.request),
    groups: groups === null ? null : callWith(groups, framework.request),
    user: framework.user,
    trustConfigured: trust === null ? framework.trustConfigured : () => true,
    trust: trust === null ? (framework.trust ?? (() => TRUST_NOBODY)) : () => trust,
    address: trust === null ? framework.address : null,
    realIpHeader,
    reports,
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
