/** What a `consumer` function may return: anything else counts as nobody and is reported. */
export type ConsumerValue = string | number | null | undefined

/** Names in which authentications keep who the caller is, in this order. */
export const CONSUMER_NAMES = ['id', 'sub', 'username', '_id'] as const

const NOBODY: readonly string[] = []

/** What a `consumer` function returned, or an authentication's field, as an identity; `null` where it is nonsense. */
export function consumerText(value: unknown): string | null {
  if (typeof value === 'string') return value
  if (value === undefined || value === null) return ''
  if (typeof value === 'number') return Number.isFinite(value) ? String(value) : null
  return typeof value === 'bigint' ? String(value) : null
}

/** The consumer in what passport, express-jwt, koa-jwt, @fastify/jwt … left on the request; `''` where there is nobody. */
export function consumerOfUser(user: unknown): string {
  if (typeof user !== 'object' || user === null) return consumerText(user) ?? ''
  for (const name of CONSUMER_NAMES) {
    const value: unknown = Reflect.get(user, name)
    const text = consumerText(value) ?? objectIdText(value)
    if (text !== '') return text
  }
  return ''
}

/** Whether an authentication left anything that is meant for a user: not nothing, `false` or an object without fields. */
export function isSomebody(user: unknown): boolean {
  if (typeof user === 'object' && user !== null) return Object.keys(user).length > 0
  return user !== undefined && user !== null && user !== false && user !== ''
}

/** MongoDB's ids are objects. */
function objectIdText(value: unknown): string {
  if (typeof value !== 'object' || value === null || !('toHexString' in value)) return ''
  const { toHexString } = value
  return typeof toHexString === 'function' ? (consumerText(toHexString.call(value)) ?? '') : ''
}

/** The groups in what an authentication left on the request: `groups` or `roles`, or the words of `scope`. */
export function groupsOfUser(user: unknown): readonly string[] {
  if (typeof user !== 'object' || user === null) return NOBODY
  for (const name of ['groups', 'roles'] as const) {
    const list = groupList(Reflect.get(user, name))
    if (list !== null) return list
  }
  const scope: unknown = Reflect.get(user, 'scope')
  return typeof scope === 'string' ? scope.split(' ').filter((word) => word !== '') : NOBODY
}

/** A list of group names; `null` where the value is no list. */
export function groupList(value: unknown): readonly string[] | null {
  return Array.isArray(value) ? value.filter((group) => typeof group === 'string') : null
}
