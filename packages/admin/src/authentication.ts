import { createHash, timingSafeEqual } from 'node:crypto'
import type { IncomingHttpHeaders } from 'node:http'
import { isLoopback } from './loopback.js'
import type { NodeRequest } from './node-request.js'
import { forbidden, tooManyWrong, unauthorized } from './refusal.js'
import { WrongTokens } from './wrong-tokens.js'

/** Says who makes a request, for the audit trail; turns it away with a {@link Refusal}. */
export type Authentication = (request: NodeRequest) => string | Promise<string>

/** What an application says of who makes a request: a name for the audit trail, or `null` for 401. */
export type Authenticate = (request: NodeRequest) => string | null | Promise<string | null>

/**
 * Takes requests with the token, as `Authorization: Bearer …` or in Kong's `Kong-Admin-Token`.
 *
 * Digests are compared, so that the time taken says nothing of how near a guess came. Peers with too many wrong ones
 * are told to wait; the right one is served all the same, for a proxy's clients are one peer.
 */
export function byToken(token: string, wrong: WrongTokens = new WrongTokens()): Authentication {
  const wanted = digestOf(token)
  return ({ headers, socket }) => {
    const given = tokensOf(headers)
    let right = false
    for (const each of given) right = timingSafeEqual(digestOf(each), wanted) || right
    if (right) return `admin@${socket.remoteAddress ?? 'socket'}`
    const seconds = Math.max(0, ...given.map(() => wrong.add(socket.remoteAddress)))
    throw seconds > 0 ? tooManyWrong(seconds) : unauthorized()
  }
}

function tokensOf(headers: IncomingHttpHeaders): string[] {
  const { authorization = '', 'kong-admin-token': kong } = headers
  const [, bearer] = /^bearer +(\S+) *$/i.exec(authorization) ?? []
  return [...(bearer === undefined ? [] : [bearer]), ...(typeof kong === 'string' ? [kong] : [])]
}

function digestOf(text: string): Buffer {
  return createHash('sha256').update(text).digest()
}

/** What proxies say of the client that they stand for. */
const FORWARDED = ['forwarded', 'x-forwarded-for', 'x-forwarded-host', 'x-real-ip', 'via'] as const

/** Takes requests of this machine only, and none that a proxy on it passed on for someone else. */
export function byLoopback(): Authentication {
  return ({ headers, socket }) => {
    if (!isLoopback(socket.remoteAddress)) throw forbidden('without a token only loopback is served')
    if (FORWARDED.some((name) => headers[name] !== undefined)) {
      throw forbidden('without a token forwarded requests are not served')
    }
    return `admin@${socket.remoteAddress}`
  }
}

/** Who an application says that its caller is, as one short line. */
export function byApplication(authenticate: Authenticate): Authentication {
  return async (request) => {
    const who = await authenticate(request)
    if (typeof who !== 'string' || who === '') throw unauthorized()
    return who.replace(/\p{Cc}+/gu, ' ').slice(0, 200)
  }
}
