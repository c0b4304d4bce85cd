import { CanaryError } from '../../errors.js'

/** The host that a client asked for. */
export interface ClientHost {
  /** As it was sent: `shop.example:8443`, `[2001:db8::1]`. */
  readonly text: string
  /** `null` where none is named. */
  readonly port: string | null
}

/**
 * `uri-host [":" port]` (RFC 9110, 7.2; RFC 3986, 3.2.2). Of a literal in brackets and of a port it only sees that they
 * are some: which ones there are is left to the URL standard. It has no IPvFuture.
 */
const HOST = /^(?:\[[\da-f:.]+\]|(?:[\w.~!$&'()*+,;=-]|%[\da-f]{2})+)(?::(\d*))?$/i

/** Most requests of a gateway name the same host. */
let last: ClientHost = { text: 'localhost', port: null }

/**
 * Reads what a client sent as `Host` or `:authority`; not the empty one, which names no host. Whatever is accepted
 * stands for itself in a URL: nothing of it is taken for a user, a path or a query.
 *
 * @throws {CanaryError} ERR_CANARY_REQUEST where it is no host
 */
export function readHost(text: string): ClientHost {
  if (text === last.text) return last
  const found = HOST.exec(text)
  // The grammar allows names that no URL can have: encoded delimiters, 1.2.3.999.
  if (found === null || !URL.canParse(`http://${text}/`)) {
    throw new CanaryError('ERR_CANARY_REQUEST', 'the request names a host that is none')
  }
  const port = found[1] === undefined || found[1] === '' ? null : String(Number(found[1]))
  last = { text, port }
  return last
}
