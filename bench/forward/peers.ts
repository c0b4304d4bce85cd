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

/** What must be reached at 56 bytes and 64 connections: at most this share of the peer's CPU for each request. */
export const TARGETS = [
  ['ours on Express', 'http-proxy-middleware', 1 / 3.5],
  ['ours on Express, app.listen', 'http-proxy-middleware', 1 / 1.2],
  ['ours on Koa', 'koa-proxies', 1 / 1.6],
  ['ours on Fastify', '@fastify/http-proxy', 1 / 1.4],
  ['ours on node:http', 'nginx', 2.6],
] as const
