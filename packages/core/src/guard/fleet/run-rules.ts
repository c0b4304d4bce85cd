import { type PublishedDelta, requestsIn } from './published-delta.js'
import { Balance } from './balance.js'
import { type RunState, begunState } from './run-state.js'
import { EXPIRY_MS, type Published, type PublishedKind } from './shared.js'

/** Ticks that a member may have been away: more is no number of a tick. */
const MOST_TICKS = 1000
/** Milliseconds after which a member that takes no part is forgotten: what it still publishes is late. */
const FORGOTTEN_MS = 600_000

/** Where the counts of a run's ticks are kept. */
export interface TickCounts {
  /** Keeps what a member counted in a tick. */
  add(delta: PublishedDelta, ordinal: number): void
  /** Whether there are any of ticks after `after`, up to `to`. */
  has(after: number, to: number): boolean
  /** Forgets those of ticks after `after`, up to `to`. Gives how many requests they are. */
  remove(after: number, to: number): number
}

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

/** A member as plain JSON. */
export interface SavedMember extends Omit<Member, 'balance'> {
  readonly balance: ReturnType<Balance['save']>
}

/**
 * When the ticks of a run are closed, and which counts are scored. A pure state machine: times are given, by the store's
 * clock. The counts themselves are kept elsewhere, so that a store need not read them to add others.
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
export class RunRules {
  readonly #counts: TickCounts
  readonly #state: RunState
  readonly #members: Map<string, Member>
  readonly #changed = new Set<string>()

  /** @param saved what `state` and `members` were; `null`: the run begins */
  constructor(
    counts: TickCounts,
    saved: { readonly state: RunState; readonly members: readonly SavedMember[] } | null = null,
  ) {
    this.#counts = counts
    this.#state = saved?.state ?? begunState()
    const members = saved?.members.toSorted((a, b) => a.ordinal - b.ordinal) ?? []
    this.#members = new Map()
    for (const each of members) this.#members.set(each.name, { ...each, balance: new Balance(each.balance) })
  }

  get state(): Readonly<RunState> {
    return this.#state
  }

  /** Members of which anything has changed since they were given; `null`: it is forgotten. */
  get changedMembers(): ReadonlyMap<string, SavedMember | null> {
    const changed = new Map<string, SavedMember | null>()
    for (const name of this.#changed) {
      const member = this.#members.get(name)
      changed.set(name, member === undefined ? null : { ...member, balance: member.balance.save() })
    }
    return changed
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
    this.#changed.add(member.name)
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
    return { kind: 'refused', ordinal: 0, closed: this.#state.closed, reason }
  }

  /** Closes what is whole. */
  close(time: number): void {
    const now = this.#timeAt(time)
    while (this.#closeOne(now));
  }

  /** Forgets what a checkpoint of a tick holds. `false`: there is a later one, or the tick is not closed. */
  trim(tick: number): boolean {
    if (tick > this.#state.closed || tick <= this.#state.trimmed) return false
    this.#counts.remove(-1, tick)
    this.#state.trimmed = tick
    this.#state.stages = this.#state.stages.filter((stage) => stage.tick > tick)
    return true
  }

  #timeAt(time: number): number {
    this.#state.passed += Math.max(0, time - (this.#state.seen ?? time))
    this.#state.seen = time
    return this.#state.passed
  }

  #enter(delta: PublishedDelta, known: Member | undefined, now: number): Published {
    // What was closed without it stays so.
    if (delta.through < this.#state.closed) return this.#answer('late', known ?? null)
    if (known?.takesPart === true && known.hash === delta.hash && delta.through === known.through) {
      return this.#answer('known', known)
    }
    // Who enters anew has lost what it would have published.
    if (known?.takesPart === true && known.hash === this.#state.hash) this.#lose([known], now)
    const member: Member = {
      name: delta.member,
      ordinal: known?.ordinal ?? (this.#state.ordinals += 1),
      hash: delta.hash,
      through: delta.through,
      takesPart: true,
      seenAt: now,
      balance: new Balance(),
    }
    this.#members.set(delta.member, member)
    this.#changed.add(member.name)
    this.#forget(now)
    if (this.#state.hash === null) {
      this.#state.closed = delta.through
      this.#begin(delta.hash, 'start')
    }
    return this.#answer(member.hash === this.#state.hash ? 'taken' : 'waiting', member)
  }

  #forget(now: number): void {
    for (const [name, { takesPart, seenAt }] of this.#members) {
      if (takesPart || now - seenAt <= FORGOTTEN_MS) continue
      this.#members.delete(name)
      this.#changed.add(name)
    }
  }

  /** Whether something was closed, or a stage begun. */
  #closeOne(now: number): boolean {
    const taking = this.#taking()
    const least = taking.length > 0 ? Math.min(...taking.map(({ through }) => through)) : this.#lastPublished()
    if (least > this.#state.closed) {
      if (this.#counts.has(this.#state.closed, least)) this.#state.scored = true
      this.#state.closed = least
      this.#state.closedAt = now
      this.#state.arrivals = this.#state.arrivals.filter(({ through }) => through > least)
      return true
    }
    if (taking.every(({ seenAt }) => now - seenAt >= EXPIRY_MS) && this.#giveWay(now)) return true
    const first = this.#state.arrivals[0]
    if (first === undefined || now - Math.max(first.at, this.#state.closedAt) < EXPIRY_MS) return false
    this.#lose(
      taking.filter(({ through }) => through <= this.#state.closed),
      now,
    )
    return true
  }

  #taking(): Member[] {
    return this.#ofStage().filter(({ takesPart }) => takesPart)
  }

  /** Members that take part, and those that did. */
  #ofStage(): Member[] {
    return [...this.#members.values()].filter(({ hash }) => hash === this.#state.hash)
  }

  /** Who has left had published all before. */
  #lastPublished(): number {
    return Math.max(this.#state.closed, ...this.#ofStage().map(({ through }) => through))
  }

  /** Without what these members would have published, evidence begins anew. */
  #lose(members: readonly Member[], now: number): void {
    for (const member of members) this.#takeOut(member)
    // The ticks that have begun are left out: which of them a member is missing from may depend on their outcomes.
    this.#skipPast(this.#ofStage(), now)
    if (this.#state.hash !== null) this.#begin(this.#state.hash, 'lost')
  }

  #takeOut(member: Member): void {
    member.takesPart = false
    this.#changed.add(member.name)
  }

  /** Nobody with the options of the stage is left: those of the first who waits take over. */
  #giveWay(now: number): boolean {
    const members = [...this.#members.values()]
    if (members.some(({ hash, seenAt }) => hash === this.#state.hash && now - seenAt < EXPIRY_MS)) return false
    const waiting = members.filter(
      (each) => each.takesPart && each.hash !== this.#state.hash && now - each.seenAt < EXPIRY_MS,
    )
    const next = waiting.sort((a, b) => a.ordinal - b.ordinal)[0]
    if (next === undefined) return false
    for (const member of this.#taking()) this.#takeOut(member)
    this.#skipPast([...this.#ofStage(), ...waiting.filter(({ hash }) => hash === next.hash)], now)
    this.#begin(next.hash, 'options')
    return true
  }

  #skipPast(members: readonly Member[], now: number): void {
    const tick = Math.max(this.#state.closed, ...members.map(({ through }) => through))
    this.#state.unscored += this.#counts.remove(this.#state.closed, tick)
    this.#state.closed = tick
    this.#state.closedAt = now
    this.#state.arrivals = this.#state.arrivals.filter(({ through }) => through > this.#state.closed)
  }

  #begin(hash: string, why: 'start' | 'lost' | 'options'): void {
    this.#state.hash = hash
    // A stage of which nothing was scored has spent nothing of α: many members may be lost in a row.
    if (this.#state.scored || this.#state.stage === 0) this.#state.stage += 1
    else this.#state.stages = this.#state.stages.filter(({ stage }) => stage !== this.#state.stage)
    this.#state.scored = false
    this.#state.stages.push({ kind: 'stage', stage: this.#state.stage, tick: this.#state.closed + 1, hash, why })
  }

  #score(delta: PublishedDelta, member: Member): PublishedKind {
    const waiting = member.takesPart && member.hash !== this.#state.hash
    if (member.takesPart && !waiting && delta.tick > this.#state.closed) {
      if (delta.cells.length > 0 || delta.chosen !== undefined) this.#counts.add(delta, member.ordinal)
      return 'taken'
    }
    const requests = requestsIn(delta)
    this.#state.unscored += requests
    if (waiting) return 'waiting'
    // A tick that was left out for all is no member's fault.
    if (member.takesPart) return 'taken'
    this.#state.late += requests
    return 'late'
  }

  #unscoredDelta(delta: PublishedDelta, member: Member | null): Published {
    this.#count(delta)
    const requests = requestsIn(delta)
    this.#state.unscored += requests
    this.#state.late += requests
    return this.#answer('late', member)
  }

  #count({ cells, chosen }: PublishedDelta): void {
    for (const { decided, failures } of [...cells, ...(chosen === undefined ? [] : [chosen])]) {
      this.#state.requests += decided[0] + decided[1]
      this.#state.totals.A.n += decided[0]
      this.#state.totals.B.n += decided[1]
      for (const [, kA, kB] of failures) {
        this.#state.totals.A.k += kA
        this.#state.totals.B.k += kB
      }
    }
  }

  #arrived(through: number, at: number): void {
    if (through > Math.max(this.#state.closed, this.#state.arrivals.at(-1)?.through ?? -1))
      this.#state.arrivals.push({ through, at })
  }

  #refuse(member: Member, reason: string, now: number): Published {
    if (member.takesPart && member.hash === this.#state.hash) this.#lose([member], now)
    this.#takeOut(member)
    return this.#answer('refused', member, reason)
  }

  #answer(kind: PublishedKind, member: Member | null, reason: string | null = null): Published {
    return { kind, ordinal: member?.ordinal ?? 0, closed: this.#state.closed, reason }
  }
}
