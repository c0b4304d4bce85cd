import { attempt, errorText } from '../hook.js'
import { type Logger, SILENT } from '../logger.js'
import type { Move, ReleaseRecord } from './lifecycle.js'

/** Who is told. */
export interface ReportOptions {
  /** The release's; none where a mount on a registry speaks for itself. */
  readonly name?: string | undefined
  readonly logger: Logger
  readonly onError: ((error: unknown) => void) | null
}

/** What a release, or a mount on a registry, tells its logger and `onError`. Neither may disturb it. */
export class Reports {
  #options: ReportOptions
  readonly #told = new Set<string>()

  /** Without options nobody is told as yet. */
  constructor(options: ReportOptions = { logger: SILENT, onError: null }) {
    this.#options = options
  }

  /** Names who is told from now on. */
  tellTo(options: ReportOptions): void {
    this.#options = options
  }

  /** Tells `onError`, or the logger where there is none, of a problem that each request would repeat: once for each kind. */
  reportOnce(kind: string, error: unknown): void {
    const { onError, logger } = this.#options
    this.#once(kind, () =>
      onError === null ? logger.error(this.#text(`${kind}: ${errorText(error)}`)) : onError(error),
    )
  }

  /** Warns once for each kind. */
  warnOnce(kind: string, message: string): void {
    this.#once(kind, () => this.#options.logger.warn(this.#text(message)))
  }

  warn(message: string): void {
    attempt(() => this.#options.logger.warn(this.#text(message)))
  }

  moved(move: Move, { by, reason }: ReleaseRecord): void {
    // A guard's reason is a whole sentence, and somebody is woken for it.
    if (by === 'guard') return this.warn(reason ?? move)
    attempt(() => this.#options.logger.info(this.#text(`${move} by ${by}${reason === null ? '' : `: ${reason}`}`)))
  }

  #once(kind: string, tell: () => unknown): void {
    if (this.#told.has(kind)) return
    this.#told.add(kind)
    attempt(tell)
  }

  #text(message: string): string {
    const { name } = this.#options
    return name === undefined ? `canary: ${message}` : `canary release ${name}: ${message}`
  }
}
