import type { IncomingHttpHeaders } from 'node:http'
import { isIP } from 'node:net'
import { isLocalName, plainHost } from './loopback.js'
import { forbidden } from './refusal.js'

/** Turns away requests that a web page made: {@link Refusal} 403. */
export type HostCheck = (url: URL, headers: IncomingHttpHeaders) => void

/**
 * Checks the host that was asked for, against DNS rebinding, and where the request comes from, against cross-site
 * form posts. An address is always taken: rebinding needs a name, which is the attacker's.
 *
 * @param allowed names besides `localhost`
 */
export function createHostCheck(allowed: readonly string[]): HostCheck {
  const names = new Set(allowed.map(plainHost))
  return (url, headers) => {
    const host = plainHost(url.hostname)
    if (isIP(host) === 0 && !isLocalName(host) && !names.has(host)) {
      throw forbidden('this Host is not one of allowedHosts')
    }
    if (!isSameSite(url, headers)) throw forbidden('requests of other sites are not taken')
  }
}

/** Programs say neither Origin nor Sec-Fetch-Site; browsers say at least one of them with every form post. */
function isSameSite(url: URL, headers: IncomingHttpHeaders): boolean {
  const { origin, 'sec-fetch-site': site } = headers
  if (site !== undefined && site !== 'same-origin' && site !== 'none') return false
  if (origin === undefined) return true
  return URL.canParse(origin) && new URL(origin).host === url.host && url.host !== ''
}
