import { type Keys, keyList } from './keys.js'
import { isRefusal, storeError } from './faults.js'
import type { Link } from './link.js'
import { RIGHTS } from './scripts.js'

export interface Demands {
  /** How many replicas must have received a change. */
  readonly replicas: number
  /** False where changes may be lost with the server. */
  readonly durable: boolean
}

const LEAST_VERSION = [6, 2] as const

/**
 * Looks whether a server is fit to keep a registry, before anything is read or written.
 *
 * @throws {CanaryError} ERR_CANARY_STORE that says what to change
 */
export async function demand(link: Link, keys: Keys, { replicas, durable }: Demands): Promise<void> {
  const info = infoOf(await link.send(['INFO']))
  const version = info.get('redis_version') ?? ''
  const [major = 0, minor = 0] = version.split('.').map(Number)
  if (!(major > LEAST_VERSION[0] || (major === LEAST_VERSION[0] && minor >= LEAST_VERSION[1]))) {
    throw storeError(`Redis ${LEAST_VERSION.join('.')} or newer, or Valkey, is needed`, {
      cause: new Error(version === '' ? 'INFO tells no version' : `the server has version ${version}`),
    })
  }
  if (info.get('loading') === '1') throw storeError('Redis is still reading its data from disk')
  demandMaster(info)
  if (durable) {
    const hint = "or say durability: 'none', if changes may be lost with the server"
    if (info.get('aof_enabled') !== '1') {
      throw storeError(`Redis would lose changes when it is killed: set "appendonly yes" there, ${hint}`)
    }
    if (info.get('maxmemory_policy') !== 'noeviction') {
      throw storeError(
        `Redis would evict the registry when its memory is full: set "maxmemory-policy noeviction" there, ${hint}`,
      )
    }
  }
  if (replicas > 0 && !info.has('min_slaves_good_slaves')) {
    throw storeError(
      `replicas: ${replicas} needs a master that refuses changes without its replicas: set "min-replicas-to-write ${replicas}" there`,
    )
  }
  const refused = await link.run(RIGHTS, keyList(keys), [replicas > 0 ? '1' : '0'])
  if (Array.isArray(refused) && refused.length > 0) {
    throw storeError(
      `the user of Redis may not run what the store needs: grant ${[...new Set(refused)].map((name) => `+${String(name).toLowerCase()}`).join(' ')} on the keys of this store`,
    )
  }
}

/**
 * Whether the server has each change in its file before it acknowledges it; `null` where the user may not ask, or the
 * server is one that does not say.
 */
export async function writesBeforeAnswering(link: Link): Promise<boolean | null> {
  try {
    const reply = await link.send(['CONFIG', 'GET', 'appendfsync'])
    return Array.isArray(reply) && reply.length === 2 ? reply[1] === 'always' : null
  } catch (error) {
    if (isRefusal(error)) return null
    throw error
  }
}

/**
 * Looks whether a server is still the master. The connection to one that is not is given up.
 *
 * @throws {CanaryError} ERR_CANARY_STORE where it is none
 */
export async function demandStillMaster(link: Link): Promise<void> {
  const info = infoOf(await link.send(['INFO', 'replication']))
  try {
    demandMaster(info)
  } catch (error) {
    link.destroy(new Error('the server is not the master any more'))
    throw error
  }
}

function demandMaster(info: ReadonlyMap<string, string>): void {
  if (info.get('role') !== 'master') throw storeError('this Redis is a replica: give the address of the master')
}

function infoOf(reply: unknown): ReadonlyMap<string, string> {
  if (typeof reply !== 'string') throw storeError('what answers is no Redis: INFO was not answered with text')
  return new Map(
    reply.split('\r\n').flatMap((line) => {
      const colon = line.indexOf(':')
      return colon === -1 ? [] : [[line.slice(0, colon), line.slice(colon + 1)] as const]
    }),
  )
}
