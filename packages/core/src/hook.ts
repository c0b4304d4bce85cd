import { CanaryError } from './errors.js'

/** The error for a function of the application's that failed: a fault of the gateway's own, never of an upstream. */
export function hookError(message: string, cause?: unknown): CanaryError {
  return new CanaryError('ERR_CANARY_HOOK', message, cause === undefined ? {} : { cause })
}

/** The error for a function that must answer at once, but returned a promise. */
export function asyncHookError(name: string): CanaryError {
  return hookError(`${name} returned a promise: it must not be async`)
}

/** Whether a function returned a promise, of whatever library or realm. */
export function isPromise(value: unknown): value is PromiseLike<unknown> {
  if ((typeof value !== 'object' && typeof value !== 'function') || value === null) return false
  try {
    return 'then' in value && typeof value.then === 'function'
  } catch {
    // A getter or a proxy: nobody could wait for it.
    return false
  }
}

/** Takes the rejection of a promise that nobody waits for: unhandled, it would end the process. */
export function disown(promise: PromiseLike<unknown>, rejected: (error: unknown) => void = () => {}): void {
  Promise.resolve(promise).then(undefined, rejected)
}

/** Calls what the application gave for its own sake, such as a logger: whoever fails there has nobody left to tell. */
export function attempt(call: () => unknown): void {
  try {
    const result = call()
    if (isPromise(result)) disown(result)
  } catch {}
}

/** What was thrown, or rejected with, as frameworks take it: for them, nothing would be no error. */
export function thrown(error: unknown): unknown {
  return error || new Error('a handler threw nothing, or rejected with nothing', { cause: error })
}

/** An error as text; never throws, whatever was thrown. */
export function errorText(error: unknown): string {
  try {
    return String(error)
  } catch {
    return `a value of type ${typeof error}`
  }
}
