import { createHmac, timingSafeEqual } from 'node:crypto'
import type { IdSeal } from '../decision/plan.js'

/** HMAC-SHA-256 in base64url. */
const SIGNATURE_LENGTH = 43

/**
 * Signs the ids of a cookie, so that nobody can make one up: `id.signature`. The first secret signs, all verify. The
 * cookie's name is signed too, or the id of one cookie could be shown as that of another.
 */
export function signedIds(name: string, secrets: readonly string[]): IdSeal {
  const [first = ''] = secrets
  const signature = (secret: string, id: string) => createHmac('sha256', secret).update(`${name}=${id}`).digest()
  return {
    sign: (id) => `${id}.${signature(first, id).toString('base64url')}`,
    idOf: (value) => {
      const dot = value.length - SIGNATURE_LENGTH - 1
      if (dot < 1 || value[dot] !== '.') return ''
      const id = value.slice(0, dot)
      const given = Buffer.from(value.slice(dot + 1), 'base64url')
      // Another text may stand for the same bytes: one id has one signature.
      if (given.toString('base64url') !== value.slice(dot + 1)) return ''
      return secrets.some((secret) => timingSafeEqual(signature(secret, id), given)) ? id : ''
    },
  }
}
