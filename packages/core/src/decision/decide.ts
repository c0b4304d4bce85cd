import { bucketOf } from './bucket.js'
import type { Decision, HashedBy, Reason, UpstreamName } from './decision.js'
import type { Facts } from './facts.js'
import { ipIdentity } from './ip-address.js'
import type { HashRule, Plan } from './plan.js'
import type { Ticket } from './ticket.js'

/** Whether the rules are asked at all, or everything goes to one side. */
export type Standing = 'open' | 'disabled' | 'rolled-back' | 'promoted'

/** What a decision needs besides the plan and the facts. */
export interface Draw {
  readonly standing: Standing
  readonly bucketsOnB: number
  /** The bucket of a request without identity. */
  readonly nextBucket: (bucketsOnB: number) => number
  /** A fresh random id for a visitor's cookie. */
  readonly newId: () => string
}

/** A {@link Decision} that also knows, unseen, which identity it hashed. */
export class DrawnDecision implements Decision {
  // Only declared: fields would be defined first and assigned again, for each request.
  declare readonly setCookie?: string
  declare readonly upstream: UpstreamName
  declare readonly reason: Reason
  declare readonly hashedBy: HashedBy | null
  declare readonly bucket: number | null
  declare readonly bucketsOnB: number
  declare readonly steps: number
  declare readonly release: string
  declare readonly origin: string | null
  readonly #identity: string | null
  #ticket: Ticket | null = null

  constructor(
    plan: Plan,
    bucketsOnB: number,
    upstream: UpstreamName,
    reason: Reason,
    hashedBy: HashedBy | null,
    bucket: number | null,
    identity: string | null,
  ) {
    this.upstream = upstream
    this.reason = reason
    this.hashedBy = hashedBy
    this.bucket = bucket
    this.bucketsOnB = bucketsOnB
    this.steps = plan.steps
    this.release = plan.release
    this.origin = upstream === 'A' ? plan.originA : plan.originB
    this.#identity = identity
  }

  /** The identity that was hashed; `null` where there was none. */
  static identityOf(decision: Decision): string | null {
    return #identity in decision ? decision.#identity : null
  }

  /** What the guard gave for this decision; `null` where it does not count. */
  static ticketOf(decision: Decision): Ticket | null {
    return #ticket in decision ? decision.#ticket : null
  }

  static giveTicket(decision: DrawnDecision, ticket: Ticket | null): void {
    decision.#ticket = ticket
  }
}

/** Decides one request. Rules in order: standing, override header, override cookie, groups, bucket. */
export function decide(plan: Plan, draw: Draw, facts: Facts): DrawnDecision {
  const { bucketsOnB, standing } = draw
  if (standing !== 'open') {
    return new DrawnDecision(plan, bucketsOnB, standing === 'promoted' ? 'B' : 'A', standing, null, null, null)
  }
  const override = overriddenTo(plan, facts)
  if (override !== null) return new DrawnDecision(plan, bucketsOnB, override, 'override', null, null, null)
  const { hash } = plan
  if (hash.by === 'allow' || hash.by === 'deny') {
    const member = isMember(hash.groups, facts)
    return new DrawnDecision(plan, bucketsOnB, member === (hash.by === 'allow') ? 'B' : 'A', 'group', null, null, null)
  }
  return drawBucket(plan, draw, facts, hash)
}

function drawBucket(plan: Plan, draw: Draw, facts: Facts, hash: HashRule): DrawnDecision {
  const { bucketsOnB } = draw
  let hashedBy: HashedBy = 'none'
  let identity = ''
  let setCookie: string | null = null
  if (hash.by === 'header') {
    hashedBy = 'header'
    identity = facts.header(hash.name)
  } else if (hash.by === 'cookie') {
    hashedBy = 'cookie'
    const { name, seal } = hash
    const value = facts.cookie(name)
    identity = seal === null || value === '' ? value : seal.idOf(value)
    if (identity === '') {
      identity = draw.newId()
      setCookie = cookieText(name, seal === null ? identity : seal.sign(identity), facts.secure())
    }
  }
  if (identity === '' && hash.by !== 'ip' && hash.by !== 'none') {
    hashedBy = 'consumer'
    identity = facts.consumer()
  }
  if (identity === '' && hash.by !== 'none') {
    hashedBy = 'ip'
    identity = facts.ip()
    if (identity !== '') identity = ipIdentity(identity, plan.ipv6Prefix)
  }
  if (identity === '') {
    const bucket = draw.nextBucket(bucketsOnB)
    return new DrawnDecision(plan, bucketsOnB, bucket < bucketsOnB ? 'B' : 'A', 'bucket', 'none', bucket, null)
  }
  const bucket = bucketOf(plan.salt, identity, plan.steps)
  const upstream = bucket < bucketsOnB ? 'B' : 'A'
  const decision = new DrawnDecision(plan, bucketsOnB, upstream, 'bucket', hashedBy, bucket, identity)
  return setCookie === null ? decision : Object.assign(decision, { setCookie })
}

/** What the override header or else the override cookie says; `null` where neither says anything known. */
function overriddenTo(plan: Plan, facts: Facts): UpstreamName | null {
  const byHeader = plan.overrideHeader === null ? null : upstreamOf(facts.header(plan.overrideHeader))
  return byHeader ?? (plan.overrideCookie === null ? null : upstreamOf(facts.cookie(plan.overrideCookie)))
}

function upstreamOf(value: string): UpstreamName | null {
  if (value === 'always') return 'B'
  return value === 'never' ? 'A' : null
}

export function isMember(groups: ReadonlySet<string>, facts: Facts): boolean {
  return facts.groups().some((group) => groups.has(group))
}

const COOKIE_MAX_AGE_S = 30 * 24 * 3600

function cookieText(name: string, id: string, secure: boolean): string {
  const attributes = `Path=/; Max-Age=${COOKIE_MAX_AGE_S}; HttpOnly; SameSite=Lax`
  return `${name}=${id}; ${attributes}${secure ? '; Secure' : ''}`
}

/** The decision in place of one for B that A must serve. */
export function fallenBack(decision: Decision, plan: Plan): Decision {
  const { bucketsOnB, hashedBy, bucket } = decision
  return new DrawnDecision(plan, bucketsOnB, 'A', 'fallback', hashedBy, bucket, DrawnDecision.identityOf(decision))
}
