import type { FastifyInstance } from 'fastify'

const ORIGIN = /^https?:\/\/[^/?#]*/i

/**
 * Takes a prefix off paths, as text. Its segments are counted, not compared: a prefix may have parameters, and the
 * router also finds it where it came percent-encoded.
 */
export function pathsBelow(instance: FastifyInstance): (url: string) => string {
  const joinsSlashes = routerOption(instance, 'ignoreDuplicateSlashes')
  // Where the router ends a path: what comes after it is no segment.
  const ends = routerOption(instance, 'useSemicolonDelimiter') ? '?#;' : '?#'
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

function routerOption({ initialConfig }: FastifyInstance, name: string): boolean {
  const nested: unknown = Reflect.get(initialConfig, 'routerOptions')
  const options = typeof nested === 'object' && nested !== null ? nested : initialConfig
  return Reflect.get(options, name) === true
}
