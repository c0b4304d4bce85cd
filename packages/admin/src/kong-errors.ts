import { CanaryError, type Logger } from '@canary-release/core'
import { attempt, errorText } from '@canary-release/core/adapter'
import { ViolationError } from '@canary-release/core/registry'
import { Refusal } from './refusal.js'

/** An error as it is answered. */
export interface ErrorAnswer {
  readonly status: number
  readonly body: object
  readonly headers: Readonly<Record<string, string>>
}

const STORE_FAILED = 'the store could not be read or written: nothing has changed'
const STORE_UNKNOWN =
  'the store did not say whether the change was made: do not repeat it before you have looked for it in /audit'
/** Seconds. */
const RETRY_AFTER = { 'retry-after': '1' }
const UNEXPECTED = { message: 'An unexpected error occurred' }

/**
 * The answer to whatever went wrong, in Kong's shapes. What its cause would give away (paths, addresses, stacks) is
 * only logged.
 */
export function errorAnswer(error: unknown, logger: Logger): ErrorAnswer {
  if (error instanceof Refusal) {
    return { status: error.status, body: { message: error.message }, headers: error.headers }
  }
  if (error instanceof ViolationError) {
    const { code, name, message, fields } = error.violation
    return { status: error.status, body: { code, name, message, fields }, headers: {} }
  }
  if (!(error instanceof CanaryError) || error.status === 500) {
    log(logger, error)
    return { status: 500, body: UNEXPECTED, headers: {} }
  }
  const { code, status, message } = error
  if (code !== 'ERR_CANARY_STORE') return { status, body: { name: code, message }, headers: {} }
  log(logger, error)
  // Who is told when to come again would make the change twice.
  if (error.outcome === 'unknown') {
    return { status, body: { name: code, message: STORE_UNKNOWN, commit: error.commit }, headers: {} }
  }
  const headers = error.outcome === 'not-written' ? RETRY_AFTER : {}
  return { status, body: { name: code, message: STORE_FAILED }, headers }
}

function log(logger: Logger, error: unknown): void {
  // A logger that fails must not change the answer.
  attempt(() => logger.error(`admin: ${describe(error)}`))
}

function describe(error: unknown): string {
  if (!(error instanceof Error)) return errorText(error)
  const { cause } = error
  return cause instanceof Error ? `${error.message}: ${cause.message}` : (error.stack ?? error.message)
}
