import type { Registry } from '@canary-release/core/registry'
import { PLAIN_LIST, readListQuery } from '../list-query.js'
import type { Operation } from '../operation.js'
import { notFound } from '../refusal.js'

/** What Kong keeps and is nothing here: clients list it before they do anything else. */
const EMPTY_LISTS = [
  ['upstreams', 'Upstreams'],
  ['certificates', 'Certificates'],
  ['ca_certificates', 'CaCertificates'],
  ['snis', 'Snis'],
  ['vaults', 'Vaults'],
  ['keys', 'CryptographicKeys'],
  ['key-sets', 'KeySets'],
  ['consumer_groups', 'ConsumerGroups'],
  ['filter-chains', 'FilterChains'],
  ['basic-auths', 'BasicAuths'],
  ['hmac-auths', 'HmacAuths'],
  ['jwts', 'Jwts'],
  ['oauth2', 'Oauth2Credentials'],
  ['oauth2_tokens', 'Oauth2Tokens'],
  ['mtls-auths', 'MtlsAuths'],
] as const

/** The same of one consumer. */
const EMPTY_OF_CONSUMERS = [
  ['basic-auth', 'BasicAuths'],
  ['hmac-auth', 'HmacAuths'],
  ['jwt', 'Jwts'],
  ['oauth2', 'Oauth2Credentials'],
  ['mtls-auth', 'MtlsAuths'],
] as const

/**
 * What Kong's clients ask of Kong itself.
 *
 * @param answered how many requests there were
 */
export function kongOperations(registry: Registry, answered: () => number): Operation[] {
  return [
    statusOperation(registry, answered),
    {
      method: 'GET',
      path: '/plugins/enabled',
      id: 'listEnabledPlugins',
      summary: 'Lists the plugins that there are.',
      answer: { status: 200, schema: 'EnabledPlugins' },
      errors: [],
      run: () => ({ status: 200, body: { enabled_plugins: ['canary'] } }),
    },
    ...EMPTY_LISTS.map(([segment, name]) => emptyList(`/${segment}`, `list${name}`, [400], () => true)),
    ...EMPTY_OF_CONSUMERS.map(([segment, name]) =>
      emptyList(
        `/consumers/{consumer}/${segment}`,
        `listConsumer${name}`,
        [400, 404],
        ({ consumer = '' }) => registry.get('consumers', consumer) !== null,
      ),
    ),
  ]
}

function emptyList(
  path: string,
  id: string,
  errors: readonly number[],
  isThere: (params: Readonly<Record<string, string>>) => boolean,
): Operation {
  return {
    method: 'GET',
    path,
    id,
    summary: 'Nothing of this kind is kept here: the list is empty.',
    query: PLAIN_LIST,
    answer: { status: 200, schema: 'EmptyPage' },
    errors,
    run({ params, query }) {
      readListQuery(query)
      if (!isThere(params)) throw notFound()
      return { status: 200, body: { data: [], next: null } }
    },
  }
}

function statusOperation(registry: Registry, answered: () => number): Operation {
  return {
    method: 'GET',
    path: '/status',
    id: 'getStatus',
    summary: 'Says how the process is: how it stands to its store, and how many requests this API got.',
    answer: { status: 200, schema: 'Status' },
    errors: [],
    run: () => ({
      status: 200,
      body: {
        database: { reachable: registry.storeStatus.connected },
        store: registry.storeStatus,
        server: { total_requests: answered() },
        memory: { process_rss: `${(process.memoryUsage.rss() / 1024 ** 2).toFixed(2)} MiB` },
      },
    }),
  }
}
