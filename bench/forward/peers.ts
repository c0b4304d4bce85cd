/** The gateways of the comparison, by the names that `gateway.ts` knows, and the proxies that are programs of their own. */
export const OURS = [
  'ours on node:http',
  'ours on Express',
  'ours on Express, app.listen',
  'ours on Koa',
  'ours on Fastify',
] as const
export const PEERS = [
  'http-proxy-middleware',
  'http-proxy-middleware, its defaults',
  'koa-proxies',
  'koa-proxies, its defaults',
  '@fastify/http-proxy',
  '@fastify/http-proxy, its defaults',
  'http-proxy',
  'http-proxy-3',
] as const
export const PROGRAMS = ['nginx', 'haproxy'] as const

/** At most this share of the peer's CPU for each request. */
type Target = readonly [ours: string, peer: string, most: number]

const TARGETS: readonly Target[] = [
  ['ours on Express', 'http-proxy-middleware', 1 / 3.5],
  ['ours on Express, app.listen', 'http-proxy-middleware', 1 / 1.2],
  ['ours on Express', 'ours on Express, app.listen', 1.05],
  ['ours on Koa', 'koa-proxies', 1 / 1.6],
  ['ours on Fastify', '@fastify/http-proxy', 1 / 1.4],
  ['ours on node:http', 'nginx', 2.6],
]

/** What must be reached with a payload: small answers by CPU, large bodies beside raw http-proxy. */
export function targetsOf(payload: string): readonly Target[] {
  if (payload === '56') return TARGETS
  return payload === '1m' || payload === 'upload' ? [['ours on node:http', 'http-proxy', 1]] : []
}
