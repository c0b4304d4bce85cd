import { disown } from '../../hook.js'

/** That something was not done in time. */
export class Late extends Error {
  override readonly name = 'Late'
}

const LEAST_MS = 1

/** The time that something may take, counted from when this is made. {@link end} it, or it keeps the process alive until then. */
export class Deadline {
  readonly ms: number
  readonly #end: number
  readonly #controller = new AbortController()
  readonly #timer: NodeJS.Timeout

  constructor(ms: number) {
    this.ms = ms
    this.#end = performance.now() + ms
    this.#timer = setTimeout(() => this.#controller.abort(), ms)
  }

  /** Whether nothing is to be begun any more: a timer that is due may not have been served yet. */
  get isOver(): boolean {
    return this.#controller.signal.aborted || this.#end - performance.now() < LEAST_MS
  }

  get signal(): AbortSignal {
    return this.#controller.signal
  }

  /**
   * Waits for what may hang, as long as there is time.
   *
   * @throws {Late}
   */
  async wait<Result>(work: Promise<Result>): Promise<Result> {
    const { signal } = this
    let stop = (): void => undefined
    const over = new Promise<never>((_, reject) => {
      stop = () => reject(new Late(`nothing came in ${this.ms / 1000} s`))
      if (signal.aborted) stop()
      else signal.addEventListener('abort', stop, { once: true })
    })
    disown(work)
    try {
      return await Promise.race([work, over])
    } finally {
      signal.removeEventListener('abort', stop)
    }
  }

  /** Lets some time pass, no longer than there is. */
  async pause(ms: number): Promise<void> {
    let timer: NodeJS.Timeout | undefined
    const passed = new Promise<void>((resolve) => (timer = setTimeout(resolve, ms)))
    await this.wait(passed).catch(() => undefined)
    clearTimeout(timer)
  }

  end(): void {
    clearTimeout(this.#timer)
  }
}
