// When a connection that has carried an answer may be used again.
import { inRoot } from '../../request-context.js'

/** How long an upstream that does not say so is taken to keep a connection open without a request, in milliseconds. */
export const UNSAID_KEEP_ALIVE_MS = 5000

/** Milliseconds before the upstream's time is up when a connection is no longer trusted with what must not be lost. */
export const SPARE_MS = 1000

const NAME = 'keep-alive'
const TIMEOUT = /(?:^|[\s,;])timeout\s*=\s*"?(\d{1,9})/i

/** Milliseconds that an upstream's `Keep-Alive` header says, out of `[name, value, …]`. */
export function saidKeepAliveMs(raw: readonly (Buffer | string)[]): number {
  for (let i = 0; i + 1 < raw.length; i += 2) {
    const name = raw[i]
    if (name?.length !== NAME.length || name.toString().toLowerCase() !== NAME) continue
    const seconds = TIMEOUT.exec(String(raw[i + 1]))?.[1]
    if (seconds !== undefined) return Number(seconds) * 1000
  }
  return UNSAID_KEEP_ALIVE_MS
}

/** A connection that the upstream closes so soon behind an answer was never meant to be used again. */
const EARLY_MS = 1000
const MISTRUSTED_MS = 10_000
/** An upstream that left a connection open for so long keeps it. */
const PROOF_MS = 100

/**
 * Whether an upstream keeps its connections open, as far as was seen: not one that closes them right behind its answers,
 * whatever it says. What must not be lost goes on new connections until the upstream has kept one.
 */
export class KeepsConnections {
  #isKnown = false
  #mistrustedUntil = 0

  /** The upstream closed a connection on which an answer had ended at `freeAt`. */
  closed(freeAt: number, now: number): void {
    if (now - freeAt >= EARLY_MS) return
    this.#isKnown = false
    this.#mistrustedUntil = now + MISTRUSTED_MS
  }

  /** An answer came on a connection that had carried another one. */
  reused(now: number): void {
    if (!this.#isKnown && now >= this.#mistrustedUntil) this.#isKnown = true
  }

  /** Whether it does, where the connection that is open without a request for longest is so since `freeAt`. */
  isKnown(freeAt: number | undefined, now: number): boolean {
    if (!this.#isKnown && freeAt !== undefined && now - freeAt >= PROOF_MS) this.reused(now)
    return this.#isKnown
  }
}

/**
 * What is free to be used again, and what of it has rested: since it was given back, the event loop has asked the system
 * for events once and gone through all of them, so that whoever closed a connection behind an answer has been seen. That
 * is so at the second `setImmediate` from then, not yet at the first.
 *
 * Nothing rests before somebody asks for what has ({@link Rest.ask}): else each release would cost two turns of the loop.
 */
export class Rest<T> {
  readonly #rested: T[] = []
  /** In the order of their release. */
  readonly #fresh: T[] = []
  /** How many of the fresh were there at the last turn. */
  #older = 0
  #isAsked = false
  #turning: NodeJS.Immediate | null = null
  readonly #onRested: () => void

  /** `onRested` is called after some have rested. */
  constructor(onRested: () => void) {
    this.#onRested = onRested
  }

  get size(): number {
    return this.#rested.length + this.#fresh.length
  }

  add(one: T): void {
    this.#fresh.push(one)
    if (this.#isAsked) this.#turn()
  }

  /** The one that came last. */
  takeLast(): T | undefined {
    const one = this.#fresh.pop()
    if (one === undefined) return this.#rested.pop()
    this.#older = Math.min(this.#older, this.#fresh.length)
    return one
  }

  /** Asks for those that have rested, from now on. */
  ask(): void {
    if (this.#isAsked) return
    this.#isAsked = true
    if (this.#fresh.length > 0) this.#turn()
  }

  /** The one that came last of those that have rested. */
  takeRested(): T | undefined {
    return this.#rested.pop()
  }

  /** The one that came first of all. */
  first(): T | undefined {
    return this.#rested[0] ?? this.#fresh[0]
  }

  takeFirst(): T | undefined {
    if (this.#rested.length > 0) return this.#rested.shift()
    this.#older = Math.max(0, this.#older - 1)
    return this.#fresh.shift()
  }

  /** Takes out all those for which `is` holds. */
  remove(is: (one: T) => boolean): T[] {
    const removed: T[] = []
    const stays = (one: T): boolean => {
      if (is(one)) removed.push(one)
      return removed.at(-1) !== one
    }
    const older = this.#fresh.slice(0, this.#older).filter(stays)
    const newer = this.#fresh.slice(this.#older).filter(stays)
    this.#fresh.splice(0, Infinity, ...older, ...newer)
    this.#older = older.length
    this.#rested.splice(0, Infinity, ...this.#rested.filter(stays))
    return removed
  }

  clear(): void {
    this.#rested.length = 0
    this.#fresh.length = 0
    this.#older = 0
    if (this.#turning !== null) clearImmediate(this.#turning)
    this.#turning = null
  }

  #turn(): void {
    this.#turning ??= inRoot(() => setImmediate(this.#turned))
  }

  readonly #turned = (): void => {
    this.#turning = null
    const rested = this.#fresh.splice(0, this.#older)
    for (const one of rested) this.#rested.push(one)
    this.#older = this.#fresh.length
    if (this.#older > 0) this.#turn()
    if (rested.length > 0) this.#onRested()
  }
}
