import { CanaryError, type Logger } from '@canary-release/core'
import type { Registry } from '@canary-release/core/registry'
import type { AppOptions } from './app.js'
import { type Authenticate, byApplication, byLoopback, byToken } from './authentication.js'
import { createHostCheck } from './host-check.js'

/** The options of the Admin API. */
export interface AdminOptions {
  /** Required. What `createRegistry` made. */
  readonly registry: Registry
  /**
   * What every request must bring, as `Authorization: Bearer …` or `Kong-Admin-Token`: 16 ASCII characters or more,
   * without spaces. A peer with 10 wrong ones in a minute gets 429 for more of them. `adminHandler` demands it, or
   * `authenticate`.
   *
   * @default none: `listenAdmin` then serves only loopback, and nothing that a proxy says it passed on
   */
  readonly token?: string | undefined
  /**
   * The application's own authentication, instead of a token. It returns who calls, or `null` for 401.
   *
   * @default none
   */
  readonly authenticate?: Authenticate | undefined
  /**
   * Host names under which it may be asked for, besides `localhost` and addresses.
   *
   * @default []
   */
  readonly allowedHosts?: readonly string[] | undefined
  /**
   * The path that it is mounted at, such as `/admin`, if the framework does not tell it: Fastify and Koa leave it in the
   * URL, koa-mount takes it off without a trace. Express tells it.
   *
   * @default ''
   */
  readonly basePath?: string | undefined
  /**
   * True shows consumers' keys in lists and records, not only to who creates them. Declarative tools (decK and the like)
   * compare what is there with their file, and make a key anew that they are not shown. Whoever may read the Admin API
   * can then act as any consumer.
   *
   * @default false
   */
  readonly showKeys?: boolean | undefined
  /**
   * Time for a body to arrive, and for the store to answer: milliseconds, 1 … 600 000.
   *
   * @default 10000
   */
  readonly timeoutMs?: number | undefined
  /**
   * Where messages go: pino, `console` or an object of your own.
   *
   * @default console
   */
  readonly logger?: Logger | undefined
}

/** Shorter ones can be guessed. */
const LEAST_TOKEN = 16

const NAMES = ['registry', 'token', 'authenticate', 'allowedHosts', 'basePath', 'showKeys', 'timeoutMs', 'logger']

/**
 * Options, checked and complete.
 *
 * @param place where it is: what is mounted may stand behind a proxy on this machine, which makes everyone local
 * @throws {CanaryError} ERR_CANARY_OPTION
 */
export function compileOptions(options: AdminOptions, place: 'mounted' | 'listening'): AppOptions {
  checkObject(options)
  for (const name of Object.keys(options)) {
    if (!NAMES.includes(name))
      throw optionError(`${name.slice(0, 100)} is not an option: known are ${NAMES.join(', ')}`)
  }
  const { registry, token, authenticate, allowedHosts = [], basePath = '', timeoutMs = 10_000, logger } = options
  const { showKeys = false } = options
  if (typeof registry?.change !== 'function') throw optionError('registry must be what createRegistry made')
  if (token !== undefined && authenticate !== undefined) {
    throw optionError('token must be left out where authenticate is given')
  }
  if (place === 'mounted' && token === undefined && authenticate === undefined) {
    throw optionError('token or authenticate must be given: only listenAdmin serves without, and on loopback')
  }
  if (!(Number.isFinite(timeoutMs) && timeoutMs >= 1 && timeoutMs <= 600_000)) {
    throw optionError('timeoutMs must be between 1 and 600000')
  }
  if (typeof showKeys !== 'boolean') throw optionError('showKeys must be true or false')
  return {
    registry,
    showKeys,
    authenticate: authenticationOf(token, authenticate),
    checkHost: createHostCheck(hostNames(allowedHosts)),
    basePath: checkedPath(basePath),
    timeoutMs,
    logger: logger ?? console,
  }
}

export function checkObject(options: unknown): void {
  if (typeof options !== 'object' || options === null) throw optionError('options must be an object')
}

function authenticationOf(
  token: string | undefined,
  authenticate: Authenticate | undefined,
): AppOptions['authenticate'] {
  if (authenticate !== undefined) {
    if (typeof authenticate !== 'function') throw optionError('authenticate must be a function')
    return byApplication(authenticate)
  }
  if (token === undefined) return byLoopback()
  // An empty environment variable must not open the door.
  if (typeof token !== 'string' || token.length < LEAST_TOKEN || !/^[\x21-\x7e]+$/.test(token)) {
    throw optionError(`token must be ${LEAST_TOKEN} or more ASCII characters without spaces`)
  }
  return byToken(token)
}

function hostNames(hosts: readonly string[]): readonly string[] {
  if (!Array.isArray(hosts)) throw optionError('allowedHosts must be an array')
  const odd = hosts.findIndex((host) => typeof host !== 'string' || !/^[a-z0-9_.-]+$/i.test(host))
  if (odd !== -1) throw optionError(`allowedHosts.${odd} must be a host name without scheme and port`)
  return hosts
}

function checkedPath(path: string): string {
  if (typeof path === 'string' && /^(?:\/[\w.~-]+)*\/?$/.test(path)) return path.replace(/\/$/, '')
  throw optionError('basePath must be a path such as /admin')
}

export function optionError(message: string): CanaryError {
  return new CanaryError('ERR_CANARY_OPTION', `admin: ${message}`)
}
