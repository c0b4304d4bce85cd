import { AsyncResource } from 'node:async_hooks'
import type { Link } from './link.js'

/** The longest pause between two attempts, where nothing answers. In milliseconds. */
const PAUSE_MS = 250

const root = new AsyncResource('CANARY_REDIS', { requireManualDestroy: true })

export interface Told {
  /** What is done on a connection. It is given up when this ends. */
  serve(link: Link): Promise<unknown>
  /** The connection was lost, or an attempt failed. */
  down(error: unknown): void
}

export interface Reconnecting {
  end(): void
  /** The server is known to answer again: the next attempt is made at once. */
  hurry(): void
}

/**
 * Keeps a connection: makes one, serves on it, and makes another when it is gone, until it is ended. It runs outside of
 * any request, whoever starts it.
 */
export function reconnecting(dial: () => Promise<Link>, { serve, down }: Told): Reconnecting {
  const end = new AbortController()
  const { signal } = end
  let resting = new AbortController()

  /** Whether a connection was made. */
  async function once(): Promise<boolean> {
    let link: Link | null = null
    let served = false
    try {
      link = await dial()
      if (signal.aborted) return false
      const ended = () => link?.destroy(new Error('the store is closed'))
      signal.addEventListener('abort', ended, { once: true })
      served = true
      await serve(link).finally(() => signal.removeEventListener('abort', ended))
    } catch (error) {
      if (!signal.aborted) down(error)
    } finally {
      link?.destroy(new Error('the connection was given up'))
    }
    return served
  }

  async function run(): Promise<void> {
    let failures = 0
    while (!signal.aborted) {
      // oxlint-disable-next-line no-await-in-loop
      failures = (await once()) ? 1 : Math.min(failures + 1, 10)
      // oxlint-disable-next-line no-await-in-loop
      await pause(Math.min(10 * 2 ** failures, PAUSE_MS), resting.signal)
      resting = new AbortController()
    }
  }

  root.runInAsyncScope(() => void run())
  const hurry = () => resting.abort()
  return {
    end() {
      end.abort()
      hurry()
    },
    hurry,
  }
}

/** Waits, or until `signal` is aborted. Keeps no process alive. */
export function pause(milliseconds: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const done = () => {
      clearTimeout(timer)
      signal.removeEventListener('abort', done)
      resolve()
    }
    const timer = setTimeout(done, milliseconds).unref()
    signal.addEventListener('abort', done, { once: true })
    if (signal.aborted) done()
  })
}
