import { createHash, timingSafeEqual } from 'node:crypto'
import type { IncomingHttpHeaders } from 'node:http'
import { optionError } from '../option-error.js'
import type { ConsumerValue } from './consumer.js'

/** Where a key is looked for, and whose it is. */
export interface ApiKeyOptions {
  /**
   * Name of the request header. At least one of `header` and `query` must be given.
   *
   * @default none
   */
  readonly header?: string | undefined
  /**
   * Name of the query parameter, looked at if the header is missing.
   *
   * @default none
   */
  readonly query?: string | undefined
  /** Required. Consumers by their key, compared in constant time; or a function that finds the consumer of a key. */
  readonly keys: Readonly<Record<string, string>> | ((key: string) => ConsumerValue)
}

/** What the requests of Express, Koa, Fastify and Node have in common. */
export interface KeyedRequest {
  /** Names in lower case. */
  readonly headers: IncomingHttpHeaders
  /**
   * Path and query.
   *
   * @default no query
   */
  readonly url?: string | undefined
  /**
   * Express strips a mount's prefix from `url`, the query stays.
   *
   * @default `url`
   */
  readonly originalUrl?: string | undefined
}

const MAX_KEY = 4096

/**
 * A `consumer` function for callers with API keys (Kong's key-auth credentials).
 *
 * It says who calls, it does not turn anybody away: a request with an unknown key has no consumer.
 *
 * @throws {CanaryError} ERR_CANARY_OPTION where neither `header` nor `query` is given, or no `keys`
 */
export function apiKeyConsumers(options: ApiKeyOptions): (request: KeyedRequest) => ConsumerValue {
  const { header, query, keys } = options ?? {}
  if (header === undefined && query === undefined) {
    throw optionError('apiKeyConsumers', 'must say the header or the query parameter that holds the key', undefined)
  }
  if (typeof keys !== 'function' && (typeof keys !== 'object' || keys === null)) {
    // Nothing of what was given is said: it may be a key.
    throw optionError(
      'apiKeyConsumers.keys',
      'must be a function, or an object with the consumer of each key',
      undefined,
    )
  }
  const headerName = header?.toLowerCase()
  const consumerOf = typeof keys === 'function' ? keys : compareWith(keys)
  return (request) => {
    const key = (headerName === undefined ? '' : headerText(request.headers[headerName])) || queryText(request, query)
    return key === '' || key.length > MAX_KEY ? undefined : consumerOf(key)
  }
}

function headerText(value: string | string[] | undefined): string {
  return typeof value === 'string' ? value : ''
}

function queryText(request: KeyedRequest, name: string | undefined): string {
  const url = request.originalUrl ?? request.url
  if (name === undefined || url === undefined) return ''
  const mark = url.indexOf('?')
  return mark === -1 ? '' : (new URLSearchParams(url.slice(mark + 1)).get(name) ?? '')
}

/** Compares digests of one length with every key, so that the time taken says nothing of how near a guess came. */
function compareWith(keys: Readonly<Record<string, string>>): (key: string) => ConsumerValue {
  const known = Object.entries(keys).map(([key, consumer]) => ({ digest: digestOf(key), consumer }))
  return (key) => {
    const digest = digestOf(key)
    let found: string | undefined
    for (const { digest: candidate, consumer } of known) {
      if (timingSafeEqual(digest, candidate)) found = consumer
    }
    return found
  }
}

function digestOf(text: string): Buffer {
  return createHash('sha256').update(text).digest()
}
