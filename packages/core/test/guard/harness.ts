import type { Decision, UpstreamName } from '../../src/decision/decision.js'
import {
  type GuardOptions,
  type ReleaseView,
  type SavableGuard,
  type SavedGuard,
  createGuard,
  resolveGuardOptions,
} from '../../src/guard/index.js'

/** A release that only knows where it stands, and a clock that is moved by hand. */
export class WatchedRelease {
  now = 1_700_000_000_000
  view: ReleaseView = { state: 'running', ramping: true, bucketsOnB: 50, steps: 1000 }
  readonly moves: string[] = []
  readonly lines: string[] = []
  readonly errors: unknown[] = []
  readonly guard: SavableGuard

  constructor(options: GuardOptions = {}, sticky = false, saved: SavedGuard | null = null, now?: number) {
    if (now !== undefined) this.now = now
    const host = {
      now: () => this.now,
      view: () => this.view,
      pause: (reason: string) => this.#move('paused', reason),
      resume: (reason: string) => this.#move('running', reason),
      rollback: (reason: string) => this.#move('rolled-back', reason, 0),
      log: (message: string) => void this.lines.push(message),
      onError: (error: unknown) => void this.errors.push(error),
    }
    this.guard = createGuard(resolveGuardOptions(options, sticky), host, saved)
  }

  #move(state: ReleaseView['state'], reason: string, bucketsOnB = this.view.bucketsOnB): void {
    this.moves.push(reason)
    this.view = { ...this.view, state, bucketsOnB }
  }

  decision(upstream: UpstreamName, more: Partial<Decision> = {}): Decision {
    const { bucketsOnB, steps } = this.view
    const rest = { hashedBy: 'none', bucket: 1, release: 'r', origin: null } as const
    return { upstream, reason: 'bucket', bucketsOnB, steps, ...rest, ...more }
  }

  /** Requests that end at once; the first `failed` of them with a 503. */
  send(upstream: UpstreamName, requests: number, failed = 0, durationMs = 40): void {
    for (let i = 0; i < requests; i += 1) {
      const decision = this.decision(upstream)
      const ticket = this.guard.admit(decision, null)
      const status = i < failed ? 503 : 200
      this.guard.observe(ticket, { decision, status, durationMs, error: null, aborted: false })
    }
  }

  second(): void {
    this.now += 1000
    this.guard.tick()
  }
}
