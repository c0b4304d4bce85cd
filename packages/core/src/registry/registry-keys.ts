import { z } from 'zod'
import { optionError, parseOptions } from '../option-error.js'
import { type KeyedRequest, apiKeyConsumers } from '../request/api-keys.js'
import type { ConsumerValue } from '../request/consumer.js'
import type { Registry } from './registry.js'

/** Where the key of a request stands. */
export interface RegistryKeyOptions {
  /**
   * Name of the request header.
   *
   * @default 'apikey'
   */
  readonly header?: string | undefined
  /**
   * Name of the query parameter, looked at if the header is missing.
   *
   * @default none
   */
  readonly query?: string | undefined
}

const optionsSchema = z.strictObject({
  header: z
    .string({ error: 'must be a header name' })
    .regex(/^[\w!#$%&'*+.^`|~-]{1,256}$/, { error: 'must be a header name' })
    .default('apikey'),
  query: z.string({ error: 'must be a parameter name' }).min(1, { error: 'must be a parameter name' }).optional(),
})

/**
 * A `consumer` function for callers with the keys that a registry keeps (`keyauth_credentials`), as they are at each
 * request. Nobody is found by a username, custom_id or id that stands in a key's place: those are no secrets.
 *
 * It says who calls, it does not turn anybody away: a request with an unknown key has no consumer. What it returns is
 * the consumer's id, which goes before all other names where a mount looks a caller up.
 *
 * @throws {CanaryError} ERR_CANARY_OPTION
 */
export function registryKeys(
  registry: Registry,
  options: RegistryKeyOptions = {},
): (request: KeyedRequest) => ConsumerValue {
  if (typeof registry?.findConsumerByKey !== 'function') {
    throw optionError('registryKeys', 'must get what createRegistry made', undefined)
  }
  const { header, query } = parseOptions(optionsSchema, options, 'registryKeys')
  return apiKeyConsumers({ header, query, keys: (key) => registry.findConsumerByKey(key)?.id })
}
