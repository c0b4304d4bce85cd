import { once } from 'node:events'
import { type AddressInfo, createServer } from 'node:net'
import { afterAll, afterEach, describe, expect, test } from 'vitest'
import { ask } from '../conformance/client.js'
import { FRAMEWORKS } from '../conformance/frameworks.js'
import { createStage } from '../conformance/stage.js'
import { FAILING, REJECTING, strayErrors } from './callback-ways.js'

async function nobodyAt(): Promise<string> {
  const server = createServer()
  await once(server.listen(0, '127.0.0.1'), 'listening')
  const { port } = server.address() as AddressInfo
  await new Promise((resolve) => server.close(resolve))
  return `http://127.0.0.1:${port}`
}

// A handler is the application's own, so that its errors are those of the framework: 500, and the next one is served.
for (const [framework, harness] of Object.entries(FRAMEWORKS)) {
  describe(`handlers in ${framework}`, async () => {
    const { stage, end } = await createStage(harness)
    afterAll(end)
    afterEach(async () => expect(await strayErrors()).toEqual([]))
    const works = harness.handler(() => 'served') as (...args: unknown[]) => unknown
    const failingOnce = (fail: () => unknown) => {
      let calls = 0
      return (...args: unknown[]) => ((calls += 1) === 1 ? fail() : works(...args))
    }

    test.each([...FAILING, ...REJECTING])('B that %s', async (_name, fail) => {
      const { url } = await stage.app({ upstreams: { A: stage.A(), B: failingOnce(fail) }, percentage: 100 })
      expect((await ask(url)).status).toBe(500)
      expect(await ask(url)).toMatchObject({ status: 200, text: 'served' })
    })

    test.each([...FAILING, ...REJECTING])('A that %s where it serves for a B that is down', async (_name, fail) => {
      const upstreams = { A: failingOnce(fail), B: await nobodyAt() }
      const { url } = await stage.app({ upstreams, percentage: 100, upstreamFallback: true })
      expect((await ask(url)).status).toBe(500)
      expect(await ask(url)).toMatchObject({ status: 200, text: 'served' })
    })
  })
}

describe('handlers of Fastify', async () => {
  const harness = FRAMEWORKS['Fastify 5']
  if (harness === undefined) throw new Error('Fastify is not among the frameworks')
  const { stage, end } = await createStage(harness)
  afterAll(end)

  const itself: unknown[] = []
  itself.push(itself)
  const unanswerable = (_request: unknown, reply: { type(type: string): void }) => {
    reply.type('text/plain')
    return { not: 'text' }
  }
  test.each<[string, unknown]>([
    ['a big integer', async () => 7n],
    ['a list that holds itself', async () => itself],
    ['an object as text', unanswerable],
  ])('answer 500 where they return %s for a B that is down', async (_name, A) => {
    const upstreams = { A, B: await nobodyAt() }
    const { url } = await stage.app({ upstreams, percentage: 100, upstreamFallback: true })
    expect((await ask(url)).status).toBe(500)
    expect(await strayErrors()).toEqual([])
  })
})
