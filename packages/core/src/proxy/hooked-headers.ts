import { validateHeaderName, validateHeaderValue } from 'node:http'
import type { CanaryError } from '../errors.js'
import { hookError } from '../hook.js'

export type HeadersHookName = 'onRequestHeaders' | 'onResponseHeaders'

/** What says where a message ends: a hook sees no body, so that anything but the sender's own word would be wrong. */
const FRAMING: Readonly<Record<HeadersHookName, ReadonlySet<string>>> = {
  onRequestHeaders: new Set([
    'connection',
    'content-length',
    'expect',
    'keep-alive',
    'trailer',
    'transfer-encoding',
    'upgrade',
  ]),
  onResponseHeaders: new Set(['content-length', 'trailer', 'transfer-encoding']),
}

/**
 * A header that a hook added or changed, as it can be sent.
 *
 * @throws {CanaryError} ERR_CANARY_HOOK for a name or value that is none, or that would change where the message ends
 */
export function hookedHeader(hook: HeadersHookName, name: string, value: unknown): string | string[] {
  if (FRAMING[hook].has(name)) throw badHeader(hook, `${name} is not a hook's to set`)
  if (name === 'host' && Array.isArray(value)) throw badHeader(hook, 'there is one host')
  try {
    validateHeaderName(name)
    const lines = Array.isArray(value) ? value.map(lineOf) : lineOf(value)
    for (const line of typeof lines === 'string' ? [lines] : lines) validateHeaderValue(name, line)
    return lines
  } catch (error) {
    throw badHeader(hook, error)
  }
}

function lineOf(value: unknown): string {
  if (typeof value === 'string') return value
  if (typeof value === 'number' || typeof value === 'boolean' || typeof value === 'bigint') return String(value)
  throw new TypeError(`a header is a string, a number or a list of them, not ${value === null ? 'null' : typeof value}`)
}

/** What exactly was wrong is for the log alone. */
function badHeader(hook: HeadersHookName, cause: unknown): CanaryError {
  return hookError(`${hook} set a header that cannot be sent`, typeof cause === 'string' ? new TypeError(cause) : cause)
}
