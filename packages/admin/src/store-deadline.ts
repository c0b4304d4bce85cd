import { Refusal } from './refusal.js'

/** What an operation answers, unless the store keeps it waiting: the client is not kept waiting with it. @throws {Refusal} 503 */
export function inTime<Result>(answer: Result | Promise<Result>, timeoutMs: number): Promise<Result> {
  return within(timeoutMs, answer, 'The store did not answer', ': the change may still be made')
}

/**
 * What is waited for, but no longer than `timeoutMs`.
 *
 * @throws {Refusal} 503 with `late`, the time and `rest`
 */
export async function within<Result>(
  timeoutMs: number,
  answer: Result | Promise<Result>,
  late: string,
  rest = '',
): Promise<Result> {
  if (!(answer instanceof Promise)) return answer
  let timer: NodeJS.Timeout | undefined
  const timedOut = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Refusal(503, `${late} in ${timeoutMs / 1000} s${rest}`)), timeoutMs)
  })
  try {
    return await Promise.race([answer, timedOut])
  } finally {
    clearTimeout(timer)
  }
}
