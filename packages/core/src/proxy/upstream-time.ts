import type { Readable } from 'node:stream'
import type { Attempt } from './forwarder.js'

/** What a request took, in milliseconds. */
export interface Times {
  /** From the decision to the head of the answer, or to the end where there was none. */
  readonly durationMs: number
  /** What of it the upstream took; `null` where it need not have answered yet. */
  readonly latencyMs: number | null
}

/** Tells what an upstream took from what its client did: an upload, and a wait for connections that clients keep. */
export class UpstreamTime {
  readonly #startedAt: number
  /** When it was the upstream's turn: at the decision, or at the end of the upload. */
  #turnAt: number
  #isUploading = false
  #sent: Attempt | null = null
  /** As of the head; `null` before that. */
  #untilHead: Times | null = null

  constructor(startedAt: number) {
    this.#startedAt = startedAt
    this.#turnAt = startedAt
  }

  /** Until this ends, the client has the turn. */
  uploads(body: Readable): void {
    this.#isUploading = true
    body.once('end', () => {
      this.#isUploading = false
      this.#turnAt = performance.now()
      // It had its connection before.
      if (this.#sent !== null) this.#sent.waitedMs = 0
    })
  }

  sent(attempt: Attempt): void {
    this.#sent = attempt
  }

  /** The head has come. False where one had come before. */
  headCame(): boolean {
    if (this.#untilHead !== null) return false
    this.#untilHead = this.#times()
    return true
  }

  /** As of the head, or as of now. */
  get times(): Times {
    return this.#untilHead ?? this.#times()
  }

  get hasHead(): boolean {
    return this.#untilHead !== null
  }

  #times(): Times {
    const now = performance.now()
    const waitedMs = this.#sent?.waitedMs ?? 0
    return {
      durationMs: now - this.#startedAt,
      latencyMs: this.#isUploading ? null : Math.max(0, now - this.#turnAt - waitedMs),
    }
  }
}
