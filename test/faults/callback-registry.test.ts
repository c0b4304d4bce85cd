import { type Registry, createRegistry, memoryStore } from '@canary-release/core/registry'
import { afterAll, afterEach, describe, expect, test } from 'vitest'
import { ask, echoOf } from '../conformance/client.js'
import { FRAMEWORKS } from '../conformance/frameworks.js'
import { createStage } from '../conformance/stage.js'
import { FAILING, NEVER, NONSENSE, REJECTING, strayErrors } from './callback-ways.js'

const SILENT = { info() {}, warn() {}, error() {} }
const all = [...FAILING, ...REJECTING, NEVER, ...NONSENSE]

for (const [framework, harness] of Object.entries(FRAMEWORKS)) {
  describe(`callbacks on a registry, in ${framework}`, async () => {
    const { stage, end } = await createStage(harness)
    afterAll(end)
    const opened: Registry[] = []
    afterEach(async () => {
      for (const made of opened.splice(0)) await made.close()
      expect(await strayErrors()).toEqual([])
    })
    const reports: unknown[] = []
    const onError = (error: unknown) => void reports.push(error)
    afterEach(() => void reports.splice(0))

    async function withOrders(more: object): Promise<Registry> {
      const made = await createRegistry({ store: memoryStore(), logger: SILENT, onError, ...more })
      opened.push(made)
      await made.change('test', (draft) => {
        draft.create('services', { name: 'orders', url: stage.A() })
        const { hostname, port } = new URL(stage.B())
        const config = { upstream_host: hostname, upstream_port: Number(port), percentage: 100 }
        draft.create('plugins', { name: 'canary', config }, { kind: 'services', key: 'orders' })
      })
      return made
    }
    const mounted = (registry: Registry, more: object = {}, service = 'orders') =>
      stage.mounted({ mounts: [{ source: { registry, service, ...more } }] })

    test.each([...FAILING, ...REJECTING])('a listener that %s is reported, and the others hear it', async (_, fail) => {
      const made = await withOrders({})
      const heard: number[] = []
      made.on('change', fail)
      made.on('change', ({ version }) => void heard.push(version))
      const { version } = made
      await made.change('test', (draft) => draft.create('consumers', { username: 'alice' }))
      expect(heard).toEqual([version + 1])
      await expect.poll(() => reports.length).toBe(1)
    })

    test.each(all)('loggers and onErrors that %s change nothing', async (_name, log) => {
      const logger = { info: log, warn: log, error: log }
      for (const more of [
        { logger, onError: undefined },
        { logger, onError: log },
      ]) {
        const made = await withOrders(more)
        const consumer = () => {
          throw new Error('a bug')
        }
        const { url } = await mounted(made, { ...more, consumer })
        const headers = { 'x-forwarded-for': '1.2.3.4' }
        expect(await echoOf(url, { headers })).toMatchObject({ name: 'B' })
        made.on('change', () => {
          throw new Error('a bug')
        })
        const [plugin] = made.list('plugins')?.rows ?? []
        await made.move(plugin?.entity.id ?? '', 'rollback', 'for a test', 'test')
        expect(await echoOf(url, { headers })).toMatchObject({ name: 'A' })
        const lost = await mounted(made, more, 'unknown')
        expect((await ask(lost.url)).text).toMatch(/^ERR_CANARY_SERVICE: /)
      }
    })

    test.each(all.filter(([name]) => name !== 'returns a number'))(
      'a clock and a random that %s are reported, and requests go on',
      async (_name, fail) => {
        const made = await withOrders({ clock: fail, random: fail, guard: true })
        const { url } = await mounted(made)
        for (let i = 0; i < 2; i += 1) expect(await echoOf(url)).toMatchObject({ name: 'B' })
        expect(reports.length).toBeGreaterThan(0)
        for (const error of reports) expect(error).toMatchObject({ code: 'ERR_CANARY_HOOK' })
      },
    )

    test.each([...FAILING, ...REJECTING, NEVER])(
      'a consumer function that %s is reported once',
      async (_, consumer) => {
        const { url } = await mounted(await withOrders({}), { consumer, onError })
        for (let i = 0; i < 3; i += 1) expect(await echoOf(url)).toMatchObject({ name: 'B' })
        expect(reports).toHaveLength(1)
      },
    )

    test('hooks of a mount end their own requests', async () => {
      const made = await withOrders({})
      const onRequestHeaders = () => Promise.reject(new Error('a bug'))
      const { url } = await mounted(made, { proxy: { onRequestHeaders } })
      expect((await ask(url)).text).toBe('ERR_CANARY_HOOK: onRequestHeaders rejected')
    })
  })
}
