import type { OutgoingHttpHeaders } from 'node:http'
import type { Decision } from '../../decision/decision.js'
import { hookError, isPromise } from '../../hook.js'
import type { RawRequest } from '../../node-http.js'
import type { RequestHeadersHook } from '../forwarder.js'
import { hookedHeader } from '../hooked-headers.js'

/**
 * The headers of a request after the application's hook, at once unless the hook is async.
 *
 * @throws {CanaryError} ERR_CANARY_HOOK, with which the promise is rejected too
 */
export function hookedRequestHeaders(
  hook: RequestHeadersHook,
  sent: readonly string[],
  request: RawRequest,
  decision: Decision,
): string[] | Promise<string[]> {
  const headers = headersObject(sent)
  let returned: unknown
  try {
    returned = hook(headers, request, decision)
  } catch (error) {
    throw hookError('onRequestHeaders threw', error)
  }
  if (!isPromise(returned)) return headerLines(headers, sent)
  return Promise.resolve(returned).then(
    () => headerLines(headers, sent),
    (error: unknown) => {
      throw hookError('onRequestHeaders rejected', error)
    },
  )
}

/** The hook gets an object, as Node's own `headers` are. */
function headersObject(sent: readonly string[]): OutgoingHttpHeaders {
  const headers: OutgoingHttpHeaders = Object.create(null)
  for (let i = 0; i + 1 < sent.length; i += 2) {
    const name = sent[i] ?? ''
    const value = sent[i + 1] ?? ''
    const before = headers[name]
    if (before === undefined) headers[name] = value
    else headers[name] = Array.isArray(before) ? [...before, value] : [String(before), value]
  }
  return headers
}

/** What the hook left, as lines. Only what it touched is looked at: both lists have the same order. */
function headerLines(headers: OutgoingHttpHeaders, sent: readonly string[]): string[] {
  const lines: string[] = []
  let at = 0
  for (const [spelled, value] of Object.entries(headers)) {
    if (value === undefined) continue
    while (at < sent.length && sent[at] !== spelled) at += 2
    if (value === sent[at + 1]) lines.push(spelled, value)
    else pushHooked(lines, spelled, value, sent)
  }
  return lines
}

function pushHooked(lines: string[], spelled: string, value: unknown, sent: readonly string[]): void {
  const name = spelled.toLowerCase()
  // Spelled otherwise it is the same header, and the later one counts.
  if (name !== spelled) dropLines(lines, name)
  const untouched = sent.some((before, i) => i % 2 === 0 && before === name && sent[i + 1] === value)
  const checked = untouched ? String(value) : hookedHeader('onRequestHeaders', name, value)
  for (const line of typeof checked === 'string' ? [checked] : checked) lines.push(name, line)
}

function dropLines(lines: string[], name: string): void {
  for (let i = lines.length - 2; i >= 0; i -= 2) if (lines[i] === name) lines.splice(i, 2)
}
