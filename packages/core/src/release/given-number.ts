import { asyncHookError, disown, hookError, isPromise } from '../hook.js'

/**
 * A `clock` or `random` of the application's, which goes on where the function does not: with the last number that it
 * gave, so that a share stands still and does not jump; before there is one, with `instead`.
 */
export function givenNumber(
  name: 'clock' | 'random',
  given: () => number,
  instead: () => number,
  report: (kind: string, error: unknown) => void,
): () => number {
  // Node's own cannot fail, and nearly everybody has it.
  if (given === instead) return given
  let last: number | null = null
  return () => {
    try {
      const value: unknown = given()
      if (typeof value === 'number' && Number.isFinite(value)) return (last = value)
      if (isPromise(value)) disown(value)
      report(name, isPromise(value) ? asyncHookError(name) : hookError(`${name} returned no number`))
    } catch (error) {
      report(name, hookError(`${name} threw`, error))
    }
    return last ?? instead()
  }
}
