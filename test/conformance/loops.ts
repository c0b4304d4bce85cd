import { createRelease } from '@canary-release/core'
import { expect, test } from 'vitest'
import { ask, echoOf } from './client.js'
import type { Stage } from './stage.js'

/** Tests of upstreams that lead back to the gateway. */
export function loops(stage: Stage): void {
  /** An application whose both sides are `target`, or itself, and what passes it. */
  async function looping(proxy: object = {}, target?: string) {
    const passes: (string | undefined)[] = []
    const release = createRelease(stage.options({ proxy }) as never)
    const authenticate = (headers: Record<string, unknown>) => {
      passes.push(headers['x-canary-via'] as string | undefined)
      return {}
    }
    const { url } = await stage.app(release, { authenticate })
    const lead = (to: string) => release.update({ upstreams: { A: to, B: to } })
    lead(target ?? url)
    return { url, passes, lead, release }
  }

  test.each([
    ['a request', {}],
    ['an upload', { method: 'POST', body: 'x'.repeat(100_000) }],
    ['an upgrade', { headers: { connection: 'Upgrade', upgrade: 'echo' } }],
  ])('%s that comes back ends at the third pass', async (_name, asked) => {
    const { url, passes, release } = await looping()
    expect(await ask(`${url}/x`, asked)).toMatchObject({
      status: 508,
      text: expect.stringMatching(/^ERR_CANARY_LOOP: the request came by here for the third time/),
    })
    const id = passes[1]
    expect(id).toMatch(/^[0-9a-f]{8}$/)
    expect(passes).toEqual([undefined, id, `${id},${id}`])
    // It is the first two passes that got the 508 from an upstream.
    expect(release.status().counts.A.failures + release.status().counts.B.failures).toBe(2)
  })

  test('a loop over two mounts ends where one of them is passed for the third time', async () => {
    const second = await looping()
    const first = await looping({}, second.url)
    second.lead(first.url)
    expect((await ask(first.url)).status).toBe(508)
    expect([first.passes.length, second.passes.length]).toEqual([3, 2])
  })

  test('what a client says of mounts is passed on where it can be some, and believed for nothing', async () => {
    const { url } = await stage.app({ percentage: 100 })
    const told = async (value: string | string[]) => {
      const { headers } = await echoOf(url, { headers: { 'x-canary-via': value, X_Canary_Via: 'x' } })
      expect(headers).not.toHaveProperty('x_canary_via')
      return headers['x-canary-via'] ?? ''
    }
    const id = await told('none')
    expect(id).toMatch(/^[0-9a-f]{8}$/)
    for (const value of ['', ',', `${id}-`, `${id},${id},${id},x`, id.repeat(2), 'A'.repeat(8)]) {
      expect([value, await told(value)]).toEqual([value, id])
    }
    expect(await told(`${id}, 00000000`)).toBe(`${id}, 00000000,${id}`)
    expect(await told([id, '00000000'])).toBe(`${id}, 00000000,${id}`)
    expect(await told(Array.from({ length: 114 }, () => id).join(','))).toBe(id)
    const longest = Array.from({ length: 113 }, () => '00000000').join(',')
    expect(await told(longest)).toBe(`${longest},${id}`)
    expect((await ask(url, { headers: { 'x-canary-via': `${id},${id}` } })).status).toBe(508)
  })

  test('Via names the gateway where that is asked for', async () => {
    const headers = { via: '1.0 edge' }
    const without = await stage.app({ percentage: 100 })
    expect((await echoOf(without.url, { headers })).headers).toMatchObject(headers)
    expect((await echoOf(without.url)).headers).not.toHaveProperty('via')
    const { url } = await stage.app({ percentage: 100, proxy: { via: true } })
    expect((await echoOf(url, { headers })).headers['via']).toBe('1.0 edge, 1.1 canary-release')
    expect((await echoOf(url)).headers['via']).toBe('1.1 canary-release')
  })
}
