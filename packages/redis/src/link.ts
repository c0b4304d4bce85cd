import { ClientClosedError, ClientOfflineError, type RedisClientType } from '@redis/client'
import { NoAnswer, NotSent, meansGone } from './faults.js'
import type { Script } from './scripts.js'

/** What Redis answers, by its protocol in version 2. */
export type Reply = string | number | null | readonly Reply[]

/** For a command, and for a connection to be made. In milliseconds. */
export const DEADLINE_MS = 2_000

/** Over the deadline, for what has arrived to be read. In milliseconds. */
const GRACE_MS = 20

/**
 * One connection to one server, for its life. It is never mended: whoever has it makes another when it is gone, so that
 * no command is ever sent on a later connection than the one that it was meant for.
 */
export class Link {
  readonly #client: RedisClientType
  readonly #gone: Promise<Error>
  #end: (reason: Error) => void = () => undefined
  #reason: Error | null = null

  /** @param client made for this link, not connected yet, and without a way to connect again */
  constructor(client: RedisClientType) {
    this.#client = client
    this.#gone = new Promise((resolve) => {
      this.#end = resolve
    })
    // Also what cannot be read as an answer of Redis comes as an error: such a connection cannot be trusted any more.
    client.on('error', (error: unknown) => this.destroy(error instanceof Error ? error : new Error(String(error))))
    client.on('end', () => this.destroy(new NotSent('the connection was closed')))
    // One that is destroyed while it connects opens nevertheless: it is closed as soon as there is a socket.
    client.on('connect', () => this.#reason !== null && client.destroy())
  }

  /** Resolves when it is of no more use, to the reason. Never rejects. */
  get gone(): Promise<Error> {
    return this.#gone
  }

  async connect(): Promise<void> {
    await this.#within(this.#client.connect(), DEADLINE_MS)
  }

  /**
   * Sends a command. Commands are answered in the order in which they were sent.
   *
   * @param within milliseconds until the server must have answered; else the connection is given up
   * @throws {NotSent} where it surely was not sent
   * @throws {NoAnswer} where the time was up
   */
  send(args: readonly string[], within = DEADLINE_MS): Promise<Reply> {
    if (this.#reason !== null) return Promise.reject(new NotSent('there is no connection', { cause: this.#reason }))
    return this.#within(this.#sent(args), within)
  }

  /** Runs a script by its hash, and by its text where the server does not know it yet. */
  async run(script: Script, keys: readonly string[], args: readonly string[], within = DEADLINE_MS): Promise<Reply> {
    const rest = [String(keys.length), ...keys, ...args]
    try {
      return await this.send(['EVALSHA', script.sha, ...rest], within)
    } catch (error) {
      if (!(error instanceof Error && error.message.startsWith('NOSCRIPT'))) throw error
      return this.send(['EVAL', script.source, ...rest], within)
    }
  }

  /** Ends it at once: what waits for an answer fails. */
  destroy(reason: Error): void {
    if (this.#reason !== null) return
    this.#reason = reason
    this.#end(reason)
    this.#client.destroy()
  }

  async #sent(args: readonly string[]): Promise<Reply> {
    try {
      return await this.#client.sendCommand<Reply>([...args])
    } catch (error) {
      if (error instanceof ClientOfflineError || error instanceof ClientClosedError) {
        throw new NotSent('there is no connection', { cause: error })
      }
      throw error
    }
  }

  async #within<Value>(work: Promise<Value>, milliseconds: number): Promise<Value> {
    let timer: NodeJS.Timeout | undefined
    const late = new Promise<never>((_, reject) => {
      const fail = () => {
        const error = new NoAnswer(`no answer within ${milliseconds} ms`)
        reject(error)
        this.destroy(error)
      }
      // Where this process stood still, the answer may have come and nobody has read it yet: that is done first.
      timer = setTimeout(() => {
        timer = setTimeout(fail, GRACE_MS)
      }, milliseconds)
    })
    try {
      return await Promise.race([work, late])
    } catch (error) {
      if (meansGone(error) && error instanceof Error) this.destroy(error)
      throw error
    } finally {
      clearTimeout(timer)
    }
  }
}
