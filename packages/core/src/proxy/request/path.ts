import { CanaryError } from '../../errors.js'
import type { UrlUpstream } from '../../upstream.js'

const ABSOLUTE_FORM = /^https?:\/\/[^/?#]*/i
/** All that may stand in a request line: no blanks, no control characters, no fragment, nothing beyond latin-1. */
const FORBIDDEN = /[^\u0021\u0022\u0024-\u007e\u0080-\u00ff]/
/**
 * `.` or `..` between what some server takes for separators, for any server's idea of a segment: `..;v=1` is `..` to
 * servlet containers. No client sends one: it would have gone there at once.
 */
const DOT_SEGMENT = /(?:[/\\]|%2f|%5c)(?:\.|%2e){1,2}(?:[/\\;?]|%2f|%5c|$)/i
/**
 * What servers read in several ways, or decode to something else that could have been sent as it is: empty segments,
 * backslashes, parameters, their escapes and those of letters, digits and `-._~`, escapes of escapes, `%` that is none.
 */
const AMBIGUOUS =
  /\/\/|[\\;]|%(?:2[def]|3[0-9b]|4[1-9a-f]|5[0-9acf]|6[1-9a-f]|7[0-9ae]|00|25[0-9a-f]{2}|(?![0-9a-f]{2}))/i

/** What of a path is refused: dot segments, or with `strict` all that servers read in several ways. */
export type PathRule = 'plain' | 'strict'

/**
 * The path and query to send: the upstream's base and the request's own, joined as text and otherwise untouched.
 *
 * @throws {CanaryError} ERR_CANARY_REQUEST for what must not be forwarded.
 */
export function joinPath(path: string, upstream: UrlUpstream, rule: PathRule): string {
  const own = originForm(path)
  if (FORBIDDEN.test(own)) throw refused('the request path holds a character that must not be forwarded')
  checkSegments(own, rule)
  const first = own.charCodeAt(0)
  const isPath = first === 0x2f
  if (!isPath && first !== 0x3f && own !== '') throw refused('the request target is not a path')
  if (upstream.fixedPath !== null) {
    const query = own.indexOf('?')
    return query === -1 ? upstream.fixedPath : upstream.fixedPath + own.slice(query)
  }
  return (isPath ? upstream.basePath : upstream.basePath || '/') + own
}

/**
 * Refuses a path that a gate before the mount may have read otherwise than the upstream will.
 *
 * @throws {CanaryError} ERR_CANARY_REQUEST
 */
export function checkSegments(path: string, rule: PathRule): void {
  const own = originForm(path)
  if (stands(own, DOT_SEGMENT)) throw refused('the request path has a dot segment')
  if (rule === 'strict' && stands(own, AMBIGUOUS)) {
    throw refused('the request path can be read in several ways')
  }
}

/** Whether something stands before the query. */
function stands(path: string, pattern: RegExp): boolean {
  const found = pattern.exec(path)
  if (found === null) return false
  const query = path.indexOf('?')
  return query === -1 || found.index < query
}

/** Without scheme and authority where the client sent an absolute form, as to a forward proxy. */
function originForm(path: string): string {
  return path.charCodeAt(0) === 0x2f ? path : path.replace(ABSOLUTE_FORM, '')
}

function refused(message: string): CanaryError {
  return new CanaryError('ERR_CANARY_REQUEST', message)
}
