import { type ChildProcess, fork, spawn } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { CanaryError } from '@canary-release/core'
import type { AuditEntry, Position, SaveResult, Store, StoreEvent, StoredState } from '@canary-release/core/registry'

const pathOf = (name: string) => fileURLToPath(new URL(name, import.meta.url))

interface Answer {
  readonly id?: number
  readonly result?: unknown
  readonly error?: Pick<CanaryError, 'message' | 'outcome' | 'commit'> & { readonly code: CanaryError['code'] }
  readonly watch?: number
  readonly event?: StoreEvent
}

/** Another process, which has stores on the built package. */
export class StoreProcess {
  readonly #child: ChildProcess = fork(pathOf('store-process.js'), { execArgv: [] })
  readonly #waiting = new Map<number, { resolve: (result: unknown) => void; reject: (error: unknown) => void }>()
  readonly #listeners = new Map<number, (event: StoreEvent) => void>()
  #count = 0

  constructor() {
    this.#child.on('message', (answer: Answer) => this.#heard(answer))
  }

  /** A file store in that process. */
  async open(file: string): Promise<Store> {
    const name = (this.#count += 1)
    const ask = <Result>(method: string, ...args: unknown[]): Promise<Result> =>
      this.#ask({ method, store: name, args })
    await ask('open', file)
    return {
      shared: null,
      load: () => ask<StoredState | null>('load'),
      save: (proposal, signal) => ask<SaveResult>('save', proposal, signal?.aborted === true),
      audit: (query) => ask<readonly AuditEntry[]>('audit', query),
      watch: (from: Position | null, listener) => {
        const watch = (this.#count += 1)
        this.#listeners.set(watch, listener)
        void ask('watch', watch, from)
        return () => {
          this.#listeners.delete(watch)
          void ask('unwatch', watch)
        }
      },
      close: () => ask<undefined>('close').then(() => undefined),
    }
  }

  async end(): Promise<void> {
    if (this.#child.exitCode !== null) return
    const exit = once(this.#child, 'exit')
    this.#child.disconnect()
    await exit
  }

  #ask<Result>(question: object): Promise<Result> {
    const id = (this.#count += 1)
    return new Promise<unknown>((resolve, reject) => {
      this.#waiting.set(id, { resolve, reject })
      this.#child.send({ id, ...question })
    }) as Promise<Result>
  }

  #heard({ id, result, error, watch, event }: Answer): void {
    if (watch !== undefined && event !== undefined) return this.#listeners.get(watch)?.(event)
    const waiting = this.#waiting.get(id ?? -1)
    this.#waiting.delete(id ?? -1)
    if (error === undefined) return waiting?.resolve(result)
    const { code, message, ...details } = error
    waiting?.reject(new CanaryError(code, message, details))
  }
}

/** Numbers from 0 to 1 that are the same in every run. */
export function seeded(seed: number): () => number {
  let state = seed
  return () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0
    return state / 2 ** 32
  }
}

/** A program of this folder that says lines. */
export function program(name: string, ...args: string[]) {
  const child = spawn(process.execPath, [pathOf(name), ...args], { stdio: ['ignore', 'pipe', 'pipe'] })
  const lines: string[] = []
  let errors = ''
  child.stderr.on('data', (chunk) => (errors += String(chunk)))
  const waiting = new Set<() => void>()
  const look = () => {
    for (const each of waiting) each()
  }
  const reader = createInterface({ input: child.stdout })
  reader.on('line', (line) => {
    lines.push(line)
    look()
  })
  const closed = new Promise<void>((resolve) => reader.once('close', resolve))
  void closed.then(look)
  /** Resolves with the line that begins with a text; rejects where the program ends before. */
  const line = (begin: string) =>
    new Promise<string>((resolve, reject) => {
      const find = () => {
        const found = lines.find((each) => each.startsWith(begin))
        if (found !== undefined) resolve(found)
        else if (child.exitCode !== null || child.signalCode !== null)
          reject(new Error(`no ${begin}: ${lines.join('; ')} ${errors}`))
        else return
        waiting.delete(find)
      }
      waiting.add(find)
      find()
    })
  const ended = Promise.all([closed, once(child, 'exit')]).then(() => {
    if (errors !== '') throw new Error(errors)
    return lines
  })
  return { kill: (signal: NodeJS.Signals) => child.kill(signal), line, lines, ended }
}
