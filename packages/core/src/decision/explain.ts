import { bucketsOfPercentage } from './percentage.js'
import type { Decision } from './decision.js'
import { DrawnDecision, type Draw, decide, isMember } from './decide.js'
import type { Facts } from './facts.js'
import type { Plan } from './plan.js'

/** One rule that was looked at. */
export interface ExplainedRule {
  /** Its name. */
  readonly rule:
    | 'state'
    | 'override header'
    | 'override cookie'
    | 'groups'
    | 'header'
    | 'cookie'
    | 'consumer'
    | 'ip'
    | 'none'
  /** Whether the request goes by it. */
  readonly applies: boolean
  /** What was found, in words. */
  readonly why: string
}

/** Why a request goes where it goes, and when that changes. */
export interface Explanation {
  /** What was decided. */
  readonly decision: Decision
  /** In the order they were looked at; the last one applies. */
  readonly rules: readonly ExplainedRule[]
  /** What was hashed; `null` where nothing was. */
  readonly identity: string | null
  /** When this identity is on B; `null` where the decision does not hang on a bucket of its own. */
  readonly goesToB: {
    /** The smallest share of buckets, in percent, at which it goes to B. */
    readonly percentage: number
    /** When a timed release gets there, an ISO date; `null` for a fixed percentage and while the release stands still. */
    readonly date: string | null
  } | null
}

/** The least percentage (as a decimal number) that puts `bucket` on B. */
export function percentageOf(bucket: number, steps: number): number {
  let percentage = ((bucket + 1) * 100) / steps
  while (bucketsOfPercentage(percentage, steps) <= bucket) percentage *= 1 + Number.EPSILON
  return Math.min(100, percentage)
}

/** Explains one request. `dateOf` says when a bucket goes over. The draw's `nextBucket` must change nothing. */
export function explain(plan: Plan, draw: Draw, facts: Facts, dateOf: (bucket: number) => string | null): Explanation {
  const decision = decide(plan, draw, facts)
  const identity = DrawnDecision.identityOf(decision)
  const { bucket } = decision
  return {
    decision,
    rules: rulesOf(plan, draw, facts, decision),
    identity,
    goesToB:
      bucket === null || identity === null
        ? null
        : { percentage: percentageOf(bucket, plan.steps), date: dateOf(bucket) },
  }
}

function rulesOf(plan: Plan, draw: Draw, facts: Facts, decision: Decision): ExplainedRule[] {
  const rules: ExplainedRule[] = []
  const found = (rule: ExplainedRule['rule'], applies: boolean, why: string) => {
    rules.push({ rule, applies, why })
    return applies
  }
  if (draw.standing !== 'open') {
    found('state', true, `the release is ${draw.standing}: everything goes to ${decision.upstream}`)
    return rules
  }
  found('state', false, `${draw.bucketsOnB} of ${plan.steps} buckets are on B`)
  for (const [rule, name, value] of [
    ['override header', plan.overrideHeader, plan.overrideHeader === null ? '' : facts.header(plan.overrideHeader)],
    ['override cookie', plan.overrideCookie, plan.overrideCookie === null ? '' : facts.cookie(plan.overrideCookie)],
  ] as const) {
    if (name === null) continue
    const applies = value === 'always' || value === 'never'
    if (found(rule, applies, value === '' ? `${name} is missing` : `${name} says ${quote(value)}`)) return rules
  }
  const { hash } = plan
  if (hash.by === 'allow' || hash.by === 'deny') {
    const groups = [...hash.groups].map(quote).join(', ')
    found('groups', true, `${isMember(hash.groups, facts) ? 'in' : 'not in'} one of ${groups} (${hash.by})`)
    return rules
  }
  const { bucket, hashedBy } = decision
  const landed = `bucket ${bucket} is ${decision.upstream === 'B' ? 'below' : 'not below'} ${draw.bucketsOnB}`
  for (const link of chainOf(hash.by)) {
    if (found(link, link === hashedBy, link === hashedBy ? landed : `the request has no ${link}`)) break
  }
  return rules
}

function chainOf(
  by: 'consumer' | 'ip' | 'none' | 'header' | 'cookie',
): ('consumer' | 'ip' | 'none' | 'header' | 'cookie')[] {
  const chain = ['consumer', 'ip', 'none'] as const
  const from = chain.findIndex((link) => link === by)
  return from === -1 ? [by, ...chain] : chain.slice(from)
}

/** At most 100 characters of a value, so that an explanation of a hostile request stays readable. */
function quote(value: string): string {
  return JSON.stringify(value.length > 100 ? `${value.slice(0, 100)}…` : value)
}
