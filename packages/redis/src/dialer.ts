import { type RedisClientType, createClient } from '@redis/client'
import { NoAnswer } from './faults.js'
import { DEADLINE_MS, Link } from './link.js'

/**
 * A client made by `createClient`, `createCluster` or `createSentinel`: its settings are used (addresses, TLS,
 * credentials), and its way to find the master. The client itself is neither connected nor closed.
 */
export interface ClientSettings {
  /** Gives another client with the same settings. */
  duplicate(overrides?: object): unknown
}

/** Connects to the master that has `key`. */
export type Dial = (key: string) => Promise<Link>

/** What a cluster's client has, and what Sentinel's has. */
interface Finder {
  connect(): Promise<unknown>
  destroy(): unknown
  on(event: 'error', listener: (error: unknown) => void): unknown
}
interface Cluster extends Finder {
  getNodeClientForKey(key: string): Promise<RedisClientType>
}
interface Sentinel extends Finder {
  _execute<Value>(isReadonly: boolean, run: (client: RedisClientType) => Promise<Value>): Promise<Value>
}

// A link lives as long as its socket: no queue for what could not be sent, no further attempts of its own, and answers
// in the version of the protocol that every server knows.
const ONE_LIFE = {
  RESP: 2,
  disableOfflineQueue: true,
  clientSideCache: undefined,
  emitInvalidate: false,
  maintNotifications: 'disabled',
  pingInterval: 0,
  commandOptions: { timeout: 0 },
} as const

const SOCKET = { connectTimeout: DEADLINE_MS, reconnectStrategy: false } as const

export function dialer(source: string | ClientSettings): Dial {
  if (typeof source === 'string') return () => connected(clientOf(source))
  return async (key) => {
    const copy = source.duplicate()
    if (isCluster(copy)) return connected(await found(copy, () => copy.getNodeClientForKey(key)))
    if (isSentinel(copy)) return connected(await found(copy, () => copy._execute(false, async (client) => client)))
    return connected(ownLife(copy as RedisClientType))
  }
}

function clientOf(url: string): RedisClientType {
  const { clientSideCache: _, ...options } = ONE_LIFE
  // The client writes into the options of the socket.
  return createClient({ ...options, url, socket: { ...SOCKET } }) as unknown as RedisClientType
}

function ownLife(client: RedisClientType): RedisClientType {
  const settings: ClientSettings = client
  return settings.duplicate({ ...ONE_LIFE, socket: { ...client.options.socket, ...SOCKET } }) as RedisClientType
}

const isCluster = (copy: unknown): copy is Cluster => has(copy, 'getNodeClientForKey')
const isSentinel = (copy: unknown): copy is Sentinel => has(copy, 'getMasterNode') && has(copy, '_execute')

function has(value: unknown, name: string): boolean {
  return typeof value === 'object' && value !== null && typeof Reflect.get(value, name) === 'function'
}

/** A link's client for the master that a cluster or Sentinel names now: each connection asks anew. */
async function found(finder: Finder, master: () => Promise<RedisClientType>): Promise<RedisClientType> {
  let timer: NodeJS.Timeout | undefined
  const failed = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new NoAnswer('no master was found in time')), DEADLINE_MS)
  })
  finder.on('error', () => undefined)
  const work = finder.connect().then(master).then(ownLife)
  try {
    return await Promise.race([work, failed])
  } finally {
    clearTimeout(timer)
    // What is left of a search that failed is of no interest.
    await (async () => finder.destroy())().catch(() => undefined)
  }
}

async function connected(client: RedisClientType): Promise<Link> {
  const link = new Link(client)
  try {
    await link.connect()
    return link
  } catch (error) {
    link.destroy(error instanceof Error ? error : new Error(String(error)))
    throw error
  }
}
