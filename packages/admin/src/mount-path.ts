import type { NodeRequest } from './node-request.js'

/**
 * The path that the Admin API is mounted at, as clients see it, so that `next` leads on: what the framework has taken
 * off the URL (Express says the whole in `originalUrl`), and `basePath`.
 */
export function mountPathOf(request: NodeRequest, basePath: string): string {
  const url = pathOf(request.url ?? '/')
  const { originalUrl } = request
  const original = typeof originalUrl === 'string' ? pathOf(originalUrl) : url
  const taken = original.length > url.length && original.endsWith(url) ? original.slice(0, -url.length) : ''
  // koa-mount takes its path off and leaves no trace of it: then the option says it.
  const rest = taken === '' || url === basePath || url.startsWith(`${basePath}/`) ? basePath : ''
  // Two slashes would lead to another host.
  return `${taken}${rest}`.replace(/^\/{2,}/, '/')
}

/** A request's path; proxies' clients send whole URLs. */
function pathOf(url: string): string {
  const [path = ''] = url.split('?', 1)
  return path.replace(/^[a-z][a-z0-9+.-]*:\/\/[^/]*/i, '')
}
