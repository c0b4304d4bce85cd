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
