import type { Logger } from '@canary-release/core'
import type { Registry } from '@canary-release/core/registry'
import { Hono } from 'hono'
import { getPathNoStrict } from 'hono/utils/url'
import type { Authentication } from './authentication.js'
import { canaryOperations } from './routes/canary-routes.js'
import { configOperation } from './routes/config-route.js'
import { entityOperations } from './routes/entity-routes.js'
import { explainOperation } from './routes/explain-route.js'
import type { HostCheck } from './host-check.js'
import { errorAnswer } from './kong-errors.js'
import { checkQuery } from './list-query.js'
import { mountPathOf } from './mount-path.js'
import type { NodeRequest } from './node-request.js'
import { openApiDocument } from './schemas/openapi.js'
import type { Operation } from './operation.js'
import { createPreconditions } from './preconditions.js'
import { methodNotAllowed, notFound } from './refusal.js'
import { kongOperations } from './routes/kong-routes.js'
import { ownerOperations } from './routes/owner-routes.js'
import { registryOperations } from './routes/registry-routes.js'
import { schemaOperations } from './routes/schema-routes.js'
import { tagOperations } from './routes/tag-routes.js'
import { readRequestBody } from './bodies/request-body.js'
import { SCHEMAS } from './schemas/schemas.js'
import { inTime, within } from './store-deadline.js'

export interface AppOptions {
  readonly registry: Registry
  readonly authenticate: Authentication
  readonly checkHost: HostCheck
  readonly basePath: string
  /** Whether consumers' keys are shown to who may see the rest. */
  readonly showKeys: boolean
  readonly timeoutMs: number
  readonly logger: Logger
}

interface Env {
  readonly Bindings: { readonly incoming: NodeRequest }
  readonly Variables: { by: string }
}

/** Nothing here is a page, nothing is kept, and nothing may be read from another site. */
const SECURITY_HEADERS = {
  'cache-control': 'no-store',
  'content-security-policy': "default-src 'none'; frame-ancestors 'none'",
  'cross-origin-resource-policy': 'same-origin',
  'referrer-policy': 'no-referrer',
  'x-content-type-options': 'nosniff',
  'x-frame-options': 'DENY',
} as const

export type AdminApp = Hono<Env>

/** The Admin API as a fetch handler. */
export function createApp(options: AppOptions): AdminApp {
  const { authenticate, checkHost, basePath, timeoutMs, logger } = options
  const app = new Hono<Env>({ getPath: (request) => pathBelow(basePath, getPathNoStrict(request)) })
  let requests = 0
  app.use(async (context, next) => {
    requests += 1
    const { incoming } = context.env
    checkHost(new URL(context.req.url), incoming.headers)
    context.set('by', await within(timeoutMs, authenticate(incoming), 'The authentication did not answer'))
    await next()
  })
  for (const [path, operations] of byPath(operationsOf(options, () => requests)))
    register(app, path, operations, options)
  app.notFound(() => answerTo(notFound(), logger))
  app.onError((error) => answerTo(error, logger))
  return app
}

/** Any error as an answer, also one that came up before the app was reached. */
export function answerTo(error: unknown, logger: Logger): Response {
  const { status, body, headers } = errorAnswer(error, logger)
  return Response.json(body, { status, headers: { ...SECURITY_HEADERS, ...headers } })
}

function operationsOf({ registry, showKeys }: AppOptions, answered: () => number): readonly Operation[] {
  // Paths whose last part is a word come before those where it is a record's name.
  const operations: Operation[] = [
    ...registryOperations(registry),
    configOperation(registry),
    ...schemaOperations(),
    ...tagOperations(registry),
    ...kongOperations(registry, answered),
    ...ownerOperations(registry),
    ...entityOperations(registry, showKeys),
    ...canaryOperations(registry),
    explainOperation(registry),
  ]
  let document: object | null = null
  const openapi: Operation = {
    method: 'GET',
    path: '/openapi.json',
    id: 'getDocument',
    summary: 'This document.',
    answer: { status: 200, schema: 'Document' },
    errors: [],
    run: () => ({ status: 200, body: (document ??= openApiDocument([...operations, openapi])) }),
  }
  return [...operations, openapi]
}

function byPath(operations: readonly Operation[]): Map<string, Operation[]> {
  const paths = new Map<string, Operation[]>()
  for (const operation of operations) paths.set(operation.path, [...(paths.get(operation.path) ?? []), operation])
  return paths
}

function register(
  app: AdminApp,
  path: string,
  operations: readonly Operation[],
  { basePath, timeoutMs }: AppOptions,
): void {
  const pattern = path.replace(/\{(\w+)\}/g, ':$1')
  for (const operation of operations) {
    app.on(operation.method, pattern, async ({ env, req, get }) => {
      const query = new URL(req.url).searchParams
      if (operation.query !== undefined) checkQuery(query, operation.query)
      const request = {
        params: req.param(),
        query,
        preconditions: createPreconditions(req.header('if-match'), req.header('if-none-match')),
        by: get('by'),
        body:
          operation.body === undefined ? {} : await readRequestBody(env.incoming, SCHEMAS[operation.body], timeoutMs),
      }
      const { status, body, headers } = await inTime(operation.run(request), timeoutMs)
      const init = { status, headers: { ...SECURITY_HEADERS, ...headers } }
      if (body === null) return new Response(null, init)
      return Response.json(withMountPath(body, mountPathOf(env.incoming, basePath)), init)
    })
  }
  const methods = operations.flatMap(({ method }) => (method === 'GET' ? ['GET', 'HEAD'] : [method]))
  const allow = [...methods, 'OPTIONS'].join(', ')
  app.options(pattern, () => new Response(null, { status: 204, headers: { ...SECURITY_HEADERS, allow } }))
  app.all(pattern, () => {
    throw methodNotAllowed(allow)
  })
}

/** A page whose `next` leads on from where the client came in. */
function withMountPath(body: object, mountPath: string): object {
  const isPage = mountPath !== '' && 'data' in body && 'next' in body && typeof body.next === 'string'
  return isPage ? { ...body, next: `${mountPath}${body.next}` } : body
}

/** A path without the one that the handler is mounted at; Express has taken it away itself. */
function pathBelow(basePath: string, path: string): string {
  if (basePath === '' || !(path === basePath || path.startsWith(`${basePath}/`))) return path
  return path.slice(basePath.length) || '/'
}
