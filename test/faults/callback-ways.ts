/** A promise of another library: no Promise, and it rejects. */
function thenable(error: unknown): object {
  const then = (_resolved: unknown, rejected: (error: unknown) => void) => queueMicrotask(() => rejected(error))
  // oxlint-disable-next-line no-thenable -- what is no Promise is the point
  return { then }
}

export function toss(error: unknown): never {
  throw error
}

/** How a function that somebody gives can fail: each must cost its own request at most. */
export const FAILING: readonly (readonly [string, () => unknown])[] = [
  ['throws', () => toss(new Error('a bug'))],
  ['throws nothing', () => toss(undefined)],
  ['throws a symbol', () => toss(Symbol('bug'))],
  ['throws what has no text', () => toss(Object.create(null))],
]

/** Those that fail later. */
export const REJECTING: readonly (readonly [string, () => unknown])[] = [
  ['rejects', () => Promise.reject(new Error('a bug'))],
  ['rejects with nothing', () => Promise.reject()],
  ['rejects in time', async () => toss(await new Promise((resolve) => setImmediate(resolve, new Error('late'))))],
  ['rejects as a thenable', () => thenable(new Error('a bug'))],
]

/** Never done. */
export const NEVER = ['never settles', () => new Promise(() => {})] as const

/** What nobody asked for. */
export const NONSENSE: readonly (readonly [string, () => unknown])[] = [
  ['returns a number', () => 7],
  ['returns an object', () => ({ a: 1 })],
  ['returns a symbol', () => Symbol('nonsense')],
  ['returns two lines', () => 'a\r\nX-Evil: 1'],
  ['returns null', () => null],
  ['returns a function', () => () => {}],
]

const stray: unknown[] = []
process.on('uncaughtExceptionMonitor', (error) => void stray.push(error))
process.on('unhandledRejection', (error) => void stray.push(error))

/** What reached nobody since the last call: it would have ended the process. */
export async function strayErrors(): Promise<unknown[]> {
  // Rejections are known to be unhandled after the microtasks of a turn.
  await new Promise((resolve) => setImmediate(resolve))
  await new Promise((resolve) => setImmediate(resolve))
  return stray.splice(0)
}
