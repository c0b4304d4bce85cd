import type { IncomingMessage } from 'node:http'
import { expect, test } from 'vitest'
import { ask } from './client.js'
import { type Stage, always } from './stage.js'

/** What leads to /admin at some server, and does not begin with it. */
const DOTTED = ['/x/../admin', '/./admin', '/x/%2e%2E/admin', '/x%2f..%5cadmin', '/x/..;v=1/admin', '/x;a/../admin']
const AMBIGUOUS = ['//admin', '/%61dmin', '/;/admin', '/%2fadmin', '/x\\admin']

/** Tests of a gate on a sub-path, before a canary that stands at the root. */
export function paths(stage: Stage): void {
  const authenticate = (_headers: object, { url = '' }: IncomingMessage) => (url.startsWith('/admin') ? null : {})
  const open = (options: object, rewrites = false) =>
    stage.app({ percentage: 100, override: {}, ...options }, { authenticate, rewrites })
  const seen = () => stage.upstreams().flatMap((upstream) => upstream.seen)

  test('dot segments lead around no gate, under any reading', async () => {
    const { url } = await open({})
    for (const path of DOTTED) {
      for (const headers of [{}, { connection: 'Upgrade', upgrade: 'echo' }]) {
        expect([path, await statusOf(url, path, headers)]).toEqual([path, [400, 'ERR_CANARY_REQUEST']])
      }
    }
    expect(seen()).toEqual([])
    for (const path of AMBIGUOUS) expect((await ask(url, { path })).status).toBe(200)
    expect(seen()).toEqual(AMBIGUOUS.map((path) => `GET ${path}`))
  })

  test('what is read in several ways leads around none with strict', async () => {
    const { url } = await open({ proxy: { path: 'strict' } })
    for (const path of [...DOTTED, ...AMBIGUOUS]) {
      expect([path, await statusOf(url, path)]).toEqual([path, [400, 'ERR_CANARY_REQUEST']])
    }
    expect(seen()).toEqual([])
    expect((await ask(url, { path: '/caf%C3%A9/x?next=//a/../b' })).status).toBe(200)
  })

  test.each([['at the root', ''] as const, ['below a path', '/base'] as const])(
    'rewrite mode refuses the same, for upstreams %s',
    async (_where, base) => {
      const upstreams = { A: `${stage.A()}${base}`, B: `${stage.B()}${base}` }
      const { url } = await open({ mode: 'rewrite', upstreams, proxy: { path: 'strict' } }, true)
      for (const path of ['/x/../y', '/x/%2e', '/x//y', '/%61']) {
        expect([path, await statusOf(url, path, always)]).toEqual([path, [400, 'ERR_CANARY_REQUEST']])
      }
      expect((await ask(url, { path: '/x/y' })).status).toBe(200)
    },
  )
}

async function statusOf(url: string, path: string, headers: Record<string, string> = {}) {
  const { status, text } = await ask(url, { path, headers })
  return [status, text.slice(0, text.indexOf(':'))]
}
