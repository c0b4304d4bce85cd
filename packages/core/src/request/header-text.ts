import type { IncomingHttpHeaders } from 'node:http'

/** A header's value, several of them joined; `''` where the request has none. Node's object has inherited names too. */
export function headerText(headers: IncomingHttpHeaders, name: string): string {
  const value = Object.hasOwn(headers, name) ? headers[name] : undefined
  if (value === undefined) return ''
  return typeof value === 'string' ? value : value.join(', ')
}
