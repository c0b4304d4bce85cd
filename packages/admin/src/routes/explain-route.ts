import type { RequestDescription } from '@canary-release/core'
import type { Registry } from '@canary-release/core/registry'
import type { Operation } from '../operation.js'
import { notFound } from '../refusal.js'

/** Why a request would go where it goes, and when that changes. Decides nothing and counts nothing. */
export function explainOperation(registry: Registry): Operation {
  const text = { type: 'string' } as const
  return {
    method: 'GET',
    path: '/canaries/{plugin}/explain',
    id: 'explainCanary',
    summary: 'Says where a request would go and why, which rules were looked at, and when it goes over to B.',
    query: {
      consumer: {
        description: 'Who calls: an id, username, custom_id or key of a consumer, or any text.',
        schema: text,
      },
      group: { description: "A group of the caller's; may be repeated.", schema: text, style: 'repeated' },
      ip: { description: "The client's address.", schema: text },
      'header.': { description: 'A request header: `header.x-canary=always`.', schema: text, style: 'prefix' },
      'cookie.': { description: 'A cookie: `cookie.canary_id=…`.', schema: text, style: 'prefix' },
    },
    answer: { status: 200, schema: 'Explanation' },
    errors: [404],
    run({ params, query }) {
      const explanation = registry.explain(params.plugin ?? '', described(query))
      if (explanation === null) throw notFound()
      return { status: 200, body: explanation }
    },
  }
}

function described(query: URLSearchParams): RequestDescription {
  const groups = query.getAll('group')
  return {
    consumer: query.get('consumer') ?? undefined,
    groups: groups.length === 0 ? undefined : groups,
    ip: query.get('ip') ?? undefined,
    headers: named(query, 'header.', (name) => name.toLowerCase()),
    cookies: named(query, 'cookie.', (name) => name),
  }
}

function named(query: URLSearchParams, prefix: string, spelling: (name: string) => string): Record<string, string> {
  const entries = [...query].filter(([name]) => name.startsWith(prefix))
  return Object.fromEntries(entries.map(([name, value]) => [spelling(name.slice(prefix.length)), value]))
}
