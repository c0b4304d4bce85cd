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
  readonly #timer: NodeJS.Timeout
  readonly #waiting = new Set<() => void>()
  /** Made when somebody asks for it: most changes wait for others first. */
  #controller: AbortController | null = null
  #isOver = false

  constructor(ms: number) {
    this.ms = ms
    this.#end = performance.now() + ms
    this.#timer = setTimeout(() => this.#over(), ms)
  }

  /** Whether nothing is to be begun any more: a timer that is due may not have been served yet. */
  get isOver(): boolean {
    return this.#isOver || this.#end - performance.now() < LEAST_MS
  }

  get signal(): AbortSignal {
    if (this.#controller === null) {
      this.#controller = new AbortController()
      if (this.#isOver) this.#controller.abort()
    }
    return this.#controller.signal
  }

  /**
   * Waits for what may hang, as long as there is time.
   *
   * @throws {Late}
   */
  async wait<Result>(work: Promise<Result>): Promise<Result> {
    disown(work)
    if (this.#isOver) throw this.#late()
    let give = (): void => undefined
    const over = new Promise<never>((_, reject) => (give = () => reject(this.#late())))
    this.#waiting.add(give)
    try {
      return await Promise.race([work, over])
    } finally {
      this.#waiting.delete(give)
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

  #over(): void {
    this.#isOver = true
    this.#controller?.abort()
    for (const give of this.#waiting) give()
  }

  #late(): Late {
    return new Late(`nothing came in ${this.ms / 1000} s`)
  }
}

/** Gives work a time that it may take, and ends that with it. */
export async function within<Result>(ms: number, work: (deadline: Deadline) => Promise<Result>): Promise<Result> {
  const deadline = new Deadline(ms)
  try {
    return await work(deadline)
  } finally {
    deadline.end()
  }
}
