import type { FastifyInstance, FastifyRequest } from 'fastify'

/** Any other is refused by Fastify, before a parser is asked. */
const WELL_FORMED = /^[\w!#$%&'*+.^`|~-]+\/[\w!#$%&'*+.^`|~-]+(?:;|$)/
const STAND_IN = 'application/octet-stream'

/** Kept on the request while its content type is away. */
const RESTORE = Symbol('canary.content-type')

interface Disguised {
  [RESTORE]?: () => void
}

/**
 * Keeps Fastify from judging content types, which are for the upstream to judge: what is returned puts another in the
 * place of one that Fastify would refuse. Between that and {@link restoreContentType}, which its parser calls, nobody
 * may see the request.
 */
export function contentTypeDisguise(instance: FastifyInstance): (request: FastifyRequest) => void {
  const isParsed = parsedMethods(instance)
  return (request) => {
    const type = request.headers['content-type']
    const isRefused = type === undefined ? request.method === 'QUERY' : !WELL_FORMED.test(type)
    if (isRefused && isParsed(request.method)) disguise(request)
  }
}

export function restoreContentType(request: FastifyRequest & Disguised): void {
  request[RESTORE]?.()
}

function disguise(request: FastifyRequest & Disguised): void {
  const { headers } = request.raw
  const own = headers['content-type']
  // Where a hook has replaced them all, they are merged anew at each look.
  const replaced: unknown = Reflect.get(request, 'additionalHeaders')
  if (replaced !== undefined) Object.assign(request, { headers: { ...request.headers, 'content-type': STAND_IN } })
  headers['content-type'] = STAND_IN
  forgetMediaType(request)
  request[RESTORE] = () => {
    if (own === undefined) delete headers['content-type']
    else headers['content-type'] = own
    if (replaced !== undefined) Object.assign(request, { headers: replaced })
    forgetMediaType(request)
    delete request[RESTORE]
  }
}

/** Fastify keeps what it made of a content type, under a symbol of its own, once anybody has asked. */
function forgetMediaType(request: FastifyRequest): void {
  for (const symbol of Object.getOwnPropertySymbols(request))
    if (symbol.description === 'fastify.request.contentType') Reflect.set(request, symbol, undefined)
}

const UNPARSED: ReadonlySet<string> = new Set(['GET', 'HEAD', 'TRACE'])

/** Whether Fastify asks a parser for a method: an application may say so, with `addHttpMethod`, until it is ready. */
function parsedMethods(instance: FastifyInstance): (method: string) => boolean {
  for (let owner: object | null = instance; owner !== null; owner = Reflect.getPrototypeOf(owner)) {
    const symbol = Object.getOwnPropertySymbols(owner).find((own) => own.description === 'fastify.acceptedHTTPMethods')
    const methods: unknown = symbol === undefined ? undefined : Reflect.get(owner, symbol)
    if (typeof methods !== 'object' || methods === null || !('bodywith' in methods)) continue
    const { bodywith } = methods
    if (bodywith instanceof Set) return (method) => bodywith.has(method)
  }
  return (method) => !UNPARSED.has(method)
}
