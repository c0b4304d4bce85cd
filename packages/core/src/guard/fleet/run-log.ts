import { type PublishedDelta, requestsIn } from './published-delta.js'
import { Balance } from './balance.js'
import {
  type Checkpoint,
  type ClosedTick,
  EXPIRY_MS,
  type LogEntry,
  type Published,
  type PublishedKind,
  type RunPage,
  type StoredVerdict,
} from './shared.js'

/** Ticks that a member may have been away: more is no number of a tick. */
const MOST_TICKS = 1000
/** Milliseconds after which a member that takes no part is forgotten: what it still publishes is late. */
const FORGOTTEN_MS = 600_000

interface Member {
  readonly name: string
  readonly ordinal: number
  hash: string
  /** It has published all ticks up to this one. */
  through: number
  /** It is waited for. */
  takesPart: boolean
  seenAt: number
  readonly balance: Balance
}

/** A number, and when it was reached by the store's clock. */
interface Arrival {
  readonly through: number
  readonly at: number
}

/**
 * What all members have counted of a run, tick by tick. A pure state machine: times are given, by the store's clock.
 *
 * A tick is closed when every member that takes part has published it. A member that lets the others wait for
 * {@link EXPIRY_MS} expires. Whether a member's counts are missing may then depend on what it counted: a process can
 * stand still because A fails. So the ticks that the others have begun meanwhile are not scored, and evidence begins
 * anew after them. Judging on without the missing counts would raise false alarms in up to all of the releases
 * (bench/guard-sim-fleet).
 *
 * It does not look at the end of a tick by the clock: a tick is over for a member that has published it. A member is late
 * if another one has published the next tick to be closed, and nothing could be closed for {@link EXPIRY_MS}. So neither
 * clocks that are set nor a store that was away do harm.
 */
export class RunLog {
  readonly #members = new Map<string, Member>()
  #ordinals = 0
  /** By tick: what was published and is not trimmed. */
  readonly #deltas = new Map<number, { readonly ordinal: number; readonly delta: PublishedDelta }[]>()
  #stages: Extract<LogEntry, { kind: 'stage' }>[] = []
  #stage = 0
  /** Whether any counts were scored in the stage. */
  #scored = false
  #hash: string | null = null
  #closed = -1
  #closedAt = -Infinity
  /** The log reaches back to the tick after this one. */
  #trimmed = -1
  /** When each tick that is not closed was first published by a member that takes part, ascending. */
  #arrivals: Arrival[] = []
  #checkpoint: Checkpoint | null = null
  #verdict: StoredVerdict | null = null
  /** Milliseconds that have passed in the run, however the store's clock was set back. */
  #passed = 0
  #seen: number | null = null
  #requests = 0
  #unscored = 0
  #late = 0
  readonly #totals = { A: { n: 0, k: 0 }, B: { n: 0, k: 0 } }

  get totals(): {
    readonly A: { readonly n: number; readonly k: number }
    readonly B: { readonly n: number; readonly k: number }
  } {
    return this.#totals
  }

  get late(): number {
    return this.#late
  }

  /** The members that take part. */
  get members(): readonly string[] {
    return [...this.#members.values()].filter(({ takesPart }) => takesPart).map(({ name }) => name)
  }

  /** Takes a delta that was checked by itself. */
  publish(delta: PublishedDelta, time: number): Published {
    const now = this.#timeAt(time)
    const member = this.#members.get(delta.member)
    if (delta.enters === true) return this.#enter(delta, member, now)
    if (member === undefined) return this.#unscoredDelta(delta, null)
    member.seenAt = now
    if (delta.through <= member.through) return this.#answer('known', member)
    if (delta.tick <= member.through || delta.through > member.through + MOST_TICKS) {
      return this.#refuse(member, `ticks must follow on ${member.through}, got ${delta.tick} to ${delta.through}`, now)
    }
    const wrong = member.balance.take(delta)
    if (wrong !== null) return this.#refuse(member, wrong, now)
    this.#count(delta)
    const kind = this.#score(delta, member)
    member.through = delta.through
    if (delta.leaves === true) member.takesPart = false
    else if (kind === 'taken') this.#arrived(delta.through, now)
    return this.#answer(kind, member)
  }

  /** Takes no part of a delta that is not valid, nor of the member's next ones before it enters again. */
  refuse(name: string, reason: string, time: number): Published {
    const member = this.#members.get(name)
    if (member !== undefined) return this.#refuse(member, reason, this.#timeAt(time))
    return { kind: 'refused', ordinal: 0, closed: this.#closed, reason }
  }

  /** Closes what is whole, and gives what is closed after a tick. */
  close(after: number, time: number): RunPage {
    const now = this.#timeAt(time)
    while (this.#closeOne(now));
    const from = Math.max(after, this.#trimmed)
    const ticks = [...this.#deltas]
      .filter(([tick]) => tick > from && tick <= this.#closed)
      .map(([tick, deltas]): ClosedTick => {
        return { kind: 'tick', tick, deltas: deltas.toSorted((a, b) => a.ordinal - b.ordinal) }
      })
    const entries = [...ticks, ...this.#stages.filter(({ tick }) => tick > from)]
    return {
      closed: this.#closed,
      // A stage begins before the counts of its first tick.
      entries: entries.sort((a, b) => a.tick - b.tick || (a.kind === 'stage' ? -1 : 1)),
      checkpoint: after < this.#trimmed ? this.#checkpoint : null,
      verdict: this.#verdict,
      requests: this.#requests,
      unscored: this.#unscored,
    }
  }

  conclude(verdict: StoredVerdict): 'first' | StoredVerdict {
    if (this.#verdict !== null) return this.#verdict
    this.#verdict = verdict
    return 'first'
  }

  checkpoint(checkpoint: Checkpoint): boolean {
    const { tick, identities } = checkpoint
    if (tick > this.#closed || tick <= (this.#checkpoint?.tick ?? -1)) return false
    this.#checkpoint = { ...checkpoint, identities: identities ?? this.#checkpoint?.identities ?? null }
    this.#trimmed = tick
    for (const each of this.#deltas.keys()) if (each <= tick) this.#deltas.delete(each)
    this.#stages = this.#stages.filter((stage) => stage.tick > tick)
    return true
  }

  #timeAt(time: number): number {
    this.#passed += Math.max(0, time - (this.#seen ?? time))
    this.#seen = time
    return this.#passed
  }

  #enter(delta: PublishedDelta, known: Member | undefined, now: number): Published {
    // What was closed without it stays so.
    if (delta.through < this.#closed) return this.#answer('late', known ?? null)
    if (known?.takesPart === true && known.hash === delta.hash && delta.through === known.through) {
      return this.#answer('known', known)
    }
    // Who enters anew has lost what it would have published.
    if (known?.takesPart === true && known.hash === this.#hash) this.#lose([known], now)
    const member: Member = {
      name: delta.member,
      ordinal: known?.ordinal ?? (this.#ordinals += 1),
      hash: delta.hash,
      through: delta.through,
      takesPart: true,
      seenAt: now,
      balance: new Balance(),
    }
    this.#members.set(delta.member, member)
    this.#forget(now)
    if (this.#hash === null) {
      this.#closed = delta.through
      this.#begin(delta.hash, 'start')
    }
    return this.#answer(member.hash === this.#hash ? 'taken' : 'waiting', member)
  }

  #forget(now: number): void {
    for (const [name, { takesPart, seenAt }] of this.#members) {
      if (!takesPart && now - seenAt > FORGOTTEN_MS) this.#members.delete(name)
    }
  }

  /** Whether something was closed, or a stage begun. */
  #closeOne(now: number): boolean {
    const taking = this.#taking()
    const least = taking.length > 0 ? Math.min(...taking.map(({ through }) => through)) : this.#lastPublished()
    if (least > this.#closed) {
      for (const tick of this.#deltas.keys()) if (tick > this.#closed && tick <= least) this.#scored = true
      this.#closed = least
      this.#closedAt = now
      this.#arrivals = this.#arrivals.filter(({ through }) => through > least)
      return true
    }
    if (taking.every(({ seenAt }) => now - seenAt >= EXPIRY_MS) && this.#giveWay(now)) return true
    const first = this.#arrivals[0]
    if (first === undefined || now - Math.max(first.at, this.#closedAt) < EXPIRY_MS) return false
    this.#lose(
      taking.filter(({ through }) => through <= this.#closed),
      now,
    )
    return true
  }

  #taking(): Member[] {
    return this.#ofStage().filter(({ takesPart }) => takesPart)
  }

  /** Members that take part, and those that did. */
  #ofStage(): Member[] {
    return [...this.#members.values()].filter(({ hash }) => hash === this.#hash)
  }

  /** Who has left had published all before. */
  #lastPublished(): number {
    return Math.max(this.#closed, ...this.#ofStage().map(({ through }) => through))
  }

  /** Without what these members would have published, evidence begins anew. */
  #lose(members: readonly Member[], now: number): void {
    for (const member of members) member.takesPart = false
    // The ticks that have begun are left out: which of them a member is missing from may depend on their outcomes.
    this.#skipPast(this.#ofStage(), now)
    if (this.#hash !== null) this.#begin(this.#hash, 'lost')
  }

  /** Nobody with the options of the stage is left: those of the first who waits take over. */
  #giveWay(now: number): boolean {
    const members = [...this.#members.values()]
    if (members.some(({ hash, seenAt }) => hash === this.#hash && now - seenAt < EXPIRY_MS)) return false
    const waiting = members.filter(
      (each) => each.takesPart && each.hash !== this.#hash && now - each.seenAt < EXPIRY_MS,
    )
    const next = waiting.sort((a, b) => a.ordinal - b.ordinal)[0]
    if (next === undefined) return false
    for (const member of this.#taking()) member.takesPart = false
    this.#skipPast([...this.#ofStage(), ...waiting.filter(({ hash }) => hash === next.hash)], now)
    this.#begin(next.hash, 'options')
    return true
  }

  #skipPast(members: readonly Member[], now: number): void {
    const tick = Math.max(this.#closed, ...members.map(({ through }) => through))
    for (const [each, deltas] of this.#deltas) {
      if (each <= this.#closed || each > tick) continue
      for (const { delta } of deltas) this.#unscored += requestsIn(delta)
      this.#deltas.delete(each)
    }
    this.#closed = tick
    this.#closedAt = now
    this.#arrivals = this.#arrivals.filter(({ through }) => through > this.#closed)
  }

  #begin(hash: string, why: 'start' | 'lost' | 'options'): void {
    this.#hash = hash
    // A stage of which nothing was scored has spent nothing of α: many members may be lost in a row.
    if (this.#scored || this.#stage === 0) this.#stage += 1
    else this.#stages = this.#stages.filter(({ stage }) => stage !== this.#stage)
    this.#scored = false
    this.#stages.push({ kind: 'stage', stage: this.#stage, tick: this.#closed + 1, hash, why })
  }

  #score(delta: PublishedDelta, member: Member): PublishedKind {
    const waiting = member.takesPart && member.hash !== this.#hash
    if (member.takesPart && !waiting && delta.tick > this.#closed) {
      if (delta.cells.length > 0 || delta.chosen !== undefined) {
        const known = this.#deltas.get(delta.tick)
        const one = { ordinal: member.ordinal, delta }
        if (known === undefined) this.#deltas.set(delta.tick, [one])
        else known.push(one)
      }
      return 'taken'
    }
    const requests = requestsIn(delta)
    this.#unscored += requests
    if (waiting) return 'waiting'
    // A tick that was left out for all is no member's fault.
    if (member.takesPart) return 'taken'
    this.#late += requests
    return 'late'
  }

  #unscoredDelta(delta: PublishedDelta, member: Member | null): Published {
    this.#count(delta)
    const requests = requestsIn(delta)
    this.#unscored += requests
    this.#late += requests
    return this.#answer('late', member)
  }

  #count({ cells, chosen }: PublishedDelta): void {
    for (const { decided, failures } of [...cells, ...(chosen === undefined ? [] : [chosen])]) {
      this.#requests += decided[0] + decided[1]
      this.#totals.A.n += decided[0]
      this.#totals.B.n += decided[1]
      for (const [, kA, kB] of failures) {
        this.#totals.A.k += kA
        this.#totals.B.k += kB
      }
    }
  }

  #arrived(through: number, at: number): void {
    if (through > Math.max(this.#closed, this.#arrivals.at(-1)?.through ?? -1)) this.#arrivals.push({ through, at })
  }

  #refuse(member: Member, reason: string, now: number): Published {
    if (member.takesPart && member.hash === this.#hash) this.#lose([member], now)
    member.takesPart = false
    return this.#answer('refused', member, reason)
  }

  #answer(kind: PublishedKind, member: Member | null, reason: string | null = null): Published {
    return { kind, ordinal: member?.ordinal ?? 0, closed: this.#closed, reason }
  }
}
