import { CanaryError } from '../../errors.js'
import type { UrlUpstream } from '../../upstream.js'

const ABSOLUTE_FORM = /^https?:\/\/[^/?#]*/i
/** All that may stand in a request line: no blanks, no control characters, no fragment, nothing beyond latin-1. */
const FORBIDDEN = /[^\u0021\u0022\u0024-\u007e\u0080-\u00ff]/
const MAY_CLIMB = /\.\.|%2e/i
const ENCODED_DOT = /%2e/gi
/** What some server takes for a separator, so that no reading of the path climbs. */
const SEPARATOR = /[/\\]|%2f|%5c/i

/**
 * The path and query to send: the upstream's base and the request's own, joined as text and otherwise untouched.
 *
 * @throws {CanaryError} ERR_CANARY_REQUEST for what must not be forwarded.
 */
export function joinPath(path: string, upstream: UrlUpstream): string {
  const own = originForm(path)
  if (FORBIDDEN.test(own)) throw refused('the request path holds a character that must not be forwarded')
  if (MAY_CLIMB.test(own) && climbs(own)) throw refused('the request path climbs above its base')
  const first = own.charCodeAt(0)
  const isPath = first === 0x2f
  if (!isPath && first !== 0x3f && own !== '') throw refused('the request target is not a path')
  if (upstream.fixedPath !== null) {
    const query = own.indexOf('?')
    return query === -1 ? upstream.fixedPath : upstream.fixedPath + own.slice(query)
  }
  return (isPath ? upstream.basePath : upstream.basePath || '/') + own
}

/** Without scheme and authority where the client sent an absolute form, as to a forward proxy. */
function originForm(path: string): string {
  return path.charCodeAt(0) === 0x2f ? path : path.replace(ABSOLUTE_FORM, '')
}

/** Whether dot segments lead above the place where the path began, for any server's idea of a segment. */
function climbs(path: string): boolean {
  const query = path.indexOf('?')
  let depth = 0
  for (const segment of (query === -1 ? path : path.slice(0, query)).split(SEPARATOR)) {
    const plain = withoutParameters(segment.replace(ENCODED_DOT, '.'))
    if (plain === '..') depth -= 1
    else if (plain !== '' && plain !== '.') depth += 1
    if (depth < 0) return true
  }
  return false
}

/** `..;v=1` is `..` to servlet containers. */
function withoutParameters(segment: string): string {
  const semicolon = segment.indexOf(';')
  return semicolon === -1 ? segment : segment.slice(0, semicolon)
}

function refused(message: string): CanaryError {
  return new CanaryError('ERR_CANARY_REQUEST', message)
}
