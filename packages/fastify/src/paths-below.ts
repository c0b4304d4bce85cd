import type { FastifyInstance } from 'fastify'

const ORIGIN = /^https?:\/\/[^/?#]*/i

/**
 * Takes a prefix off paths, as text. Its segments are counted, not compared: a prefix may have parameters, and the
 * router also finds it where it came percent-encoded.
 */
export function pathsBelow(instance: FastifyInstance): (url: string) => string {
  const joinsSlashes = routerOption(instance, 'ignoreDuplicateSlashes') === true
  // Where the router ends a path: what comes after it is no segment.
  const ends = routerOption(instance, 'useSemicolonDelimiter') === true ? '?#;' : '?#'
  const parts = instance.prefix.split('/').slice(1)
  while (parts.at(-1) === '') parts.pop()
  const segments = parts.filter((part) => part !== '' || !joinsSlashes).length
  return (url) => {
    if (segments === 0) return url
    const path = url.startsWith('/') ? url : url.replace(ORIGIN, '')
    if (!path.startsWith('/')) return path
    let at = 0
    for (let i = 0; i < segments; i += 1) {
      at += 1
      if (joinsSlashes) while (path[at] === '/') at += 1
      while (at < path.length && path[at] !== '/' && !ends.includes(path.charAt(at))) at += 1
    }
    const below = path.slice(at)
    return below.startsWith('/') ? below : `/${below}`
  }
}

/**
 * Says whether a request is for what is below the prefix, as the router would find it; `undefined` where there is no
 * prefix. A segment with parameters may be any.
 */
export function claimBelow(
  instance: FastifyInstance,
): ((request: { url?: string | undefined }) => boolean) | undefined {
  const joinsSlashes = routerOption(instance, 'ignoreDuplicateSlashes') === true
  const ends = routerOption(instance, 'useSemicolonDelimiter') === true ? /[?#;].*/s : /[?#].*/s
  const cased = routerOption(instance, 'caseSensitive') !== false
  const segmentsOf = (path: string) => {
    const [, ...segments] = (cased ? path : path.toLowerCase()).split('/')
    return joinsSlashes ? segments.filter((segment) => segment !== '') : segments
  }
  const prefix = segmentsOf(instance.prefix)
  while (prefix.at(-1) === '') prefix.pop()
  if (prefix.length === 0) return undefined
  return ({ url = '/' }) => {
    const segments = segmentsOf(decoded(url.replace(ORIGIN, '').replace(ends, '')))
    return prefix.every((part, i) => (/[:*]/.test(part) ? Boolean(segments[i]) : part === segments[i]))
  }
}

function decoded(path: string): string {
  try {
    return decodeURI(path)
  } catch {
    return path
  }
}

function routerOption({ initialConfig }: FastifyInstance, name: string): unknown {
  const nested: unknown = Reflect.get(initialConfig, 'routerOptions')
  const options = typeof nested === 'object' && nested !== null ? nested : initialConfig
  return Reflect.get(options, name)
}
