import { Refusal } from './refusal.js'

/**
 * What an operation answers, unless the store keeps it waiting: the client is not kept waiting with it.
 *
 * @throws {Refusal} 503
 */
export async function inTime<Result>(answer: Result | Promise<Result>, timeoutMs: number): Promise<Result> {
  if (!(answer instanceof Promise)) return answer
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => {
      reject(new Refusal(503, `The store did not answer in ${timeoutMs / 1000} s: the change may still be made`))
    }, timeoutMs)
  })
  try {
    return await Promise.race([answer, late])
  } finally {
    clearTimeout(timer)
  }
}
