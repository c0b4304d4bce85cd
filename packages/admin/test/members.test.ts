import { hostname } from 'node:os'
import { createRegistry, memoryStore } from '@canary-release/core/registry'
import { describe, expect, test, vi } from 'vitest'
import { z } from 'zod'
import { SharedMemory, memoryShared } from '../../core/src/guard/fleet/memory-shared.js'
import { openAdmin, recordOf } from './client.js'

const SILENT = { info() {}, warn() {}, error() {} }
const GUARD = { latency: false, tickMs: 50 } as const

const members = z.object({
  data: z.array(z.looseObject({ id: z.string(), self: z.boolean(), age: z.number(), tickedAt: z.number().nullable() })),
})
const canary = z.object({
  counts: z.object({ A: z.object({ requests: z.number() }), B: z.object({ requests: z.number() }) }),
  fleet: z
    .object({ counts: z.object({ A: z.object({ requests: z.number() }) }), members: z.array(z.string()) })
    .nullable(),
})

describe('the processes that have a store open', () => {
  test('are this one, where each judges alone', async () => {
    await using admin = await openAdmin()
    const { status, body } = await admin.call('GET', '/members')
    expect(status).toBe(200)
    expect(body).toMatchObject({ next: null, data: [{ self: true, host: hostname(), pid: process.pid, age: 0 }] })
    await admin.call('POST', '/services', { json: { name: 'a', host: 'a' } })
    const form = ['name=canary', 'config.upstream_port=1', 'config.percentage=1']
    const { id } = recordOf(await admin.call('POST', '/services/a/plugins', { form }))
    expect(canary.parse((await admin.call('GET', `/canaries/${id}`)).body).fleet).toBeNull()
  })

  test('are listed, and a canary shows what all of them count beside what this one does', async () => {
    const memory = new SharedMemory(() => Date.now())
    const inner = memoryStore()
    const storeOf = () => ({ ...inner, shared: memoryShared(memory, () => Date.now()), close: async () => {} })
    await using admin = await openAdmin({ store: storeOf(), guard: GUARD })
    await using other = await createRegistry({ store: storeOf(), guard: GUARD, logger: SILENT })
    await admin.call('POST', '/services', { json: { name: 'a', host: 'a' } })
    const form = ['name=canary', 'config.upstream_port=1', 'config.percentage=50', 'config.hash=none']
    const { id } = recordOf(await admin.call('POST', '/services/a/plugins', { form }))
    await vi.waitFor(() => expect(other.release(id)).not.toBeNull())
    const send = (registry: typeof other) => {
      const release = registry.release(id) ?? expect.fail()
      for (let i = 0; i < 10; i += 1) {
        const decision = release.decide({})
        release.record({ decision, status: 200, error: null, aborted: false, durationMs: 1 })
      }
    }
    await vi.waitFor(
      async () => {
        send(other)
        const { counts, fleet } = canary.parse((await admin.call('GET', `/canaries/${id}`)).body)
        expect(fleet?.members).toHaveLength(2)
        expect(fleet?.counts.A.requests).toBeGreaterThan(counts.A.requests)
      },
      { timeout: 20_000, interval: 100 },
    )
    const { data } = members.parse((await admin.call('GET', '/members')).body)
    expect(data.map(({ self }) => self).toSorted()).toEqual([false, true])
    for (const { age, tickedAt } of data) {
      expect(age).toBeLessThan(10)
      expect(tickedAt).toBeGreaterThan(Date.now() / 1000 - 60)
    }
  }, 30_000)
})
