import { attempt, errorText } from '../hook.js'
import type { Move, ReleaseRecord } from './lifecycle.js'
import { SILENT } from '../logger.js'
import type { ReleaseSettings } from './settings.js'

type Listener = Pick<ReleaseSettings, 'name' | 'logger' | 'onError'>

/** What a release tells its logger and `onError`. Neither may disturb it. */
export class Reports {
  #listener: Listener = { name: '', logger: SILENT, onError: null }
  readonly #told = new Set<string>()

  /** Names who is told from now on. Until then nobody is: the options are not checked yet. */
  tellTo(listener: Listener): void {
    this.#listener = listener
  }

  /** Calls `tell` the first time that a kind of problem comes up: each request would repeat it. */
  once(kind: string, tell: () => unknown): void {
    if (this.#told.has(kind)) return
    this.#told.add(kind)
    attempt(tell)
  }

  /** Tells `onError`, or the logger where there is none, once for each kind. */
  errorOnce(kind: string, error: unknown): void {
    const { onError, logger, name } = this.#listener
    this.once(kind, () =>
      onError === null ? logger.error(`canary release ${name}: ${kind}: ${errorText(error)}`) : onError(error),
    )
  }

  warn(message: string): void {
    const { logger, name } = this.#listener
    attempt(() => logger.warn(`canary release ${name}: ${message}`))
  }

  moved(move: Move, { by, reason }: ReleaseRecord): void {
    // A guard's reason is a whole sentence, and somebody is woken for it.
    if (by === 'guard') return this.warn(reason ?? move)
    const { logger, name } = this.#listener
    attempt(() => logger.info(`canary release ${name}: ${move} by ${by}${reason === null ? '' : `: ${reason}`}`))
  }
}
