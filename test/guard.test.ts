import { once } from 'node:events'
import { type IncomingMessage, type Server, type ServerResponse, createServer, get, request } from 'node:http'
import type { AddressInfo } from 'node:net'
import { type Release, createRelease } from '@canary-release/core'
import { afterEach, describe, expect, test } from 'vitest'
import { GATEWAYS, type GatewayOptions, optionsFor } from './faults/gateways.js'

type Answer = (request: IncomingMessage, response: ServerResponse) => void
const good: Answer = (_request, response) => response.end('good')
const bad: Answer = (_request, response) => {
  response.statusCode = 500
  response.end('bad')
}
const hang: Answer = () => {}

const opened: (() => unknown)[] = []
afterEach(async () => {
  for (const close of opened.splice(0).reverse()) await close()
})

async function upstream(answer: { now: Answer }): Promise<string> {
  const server: Server = createServer((request_, response) => answer.now(request_, response))
  server.on('upgrade', (_request, socket) => {
    socket
      .on('error', () => {})
      .on('end', () => socket.end())
      .resume()
    socket.write('HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n')
  })
  await once(server.listen(0, '127.0.0.1'), 'listening')
  opened.push(() => {
    server.closeAllConnections()
    server.close()
  })
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`
}

interface Scene {
  readonly release: Release
  readonly answers: { readonly A: { now: Answer }; readonly B: { now: Answer } }
  /** Sends requests, some at a time; the release's clock stands still. */
  send(count: number): Promise<Record<'A' | 'B', number>>
  /** A second goes by on the release's clock, and the guard looks. */
  second(): void
  readonly port: number
}

async function scene(framework: string, more: Partial<GatewayOptions> = {}): Promise<Scene> {
  const answers = { A: { now: good }, B: { now: good } }
  let now = Date.UTC(2026, 0, 1)
  const options = optionsFor(
    { A: await upstream(answers.A), B: await upstream(answers.B) },
    {
      hash: 'none',
      guard: true,
      clock: () => now,
      random: () => 0,
      exposeHeader: 'x-upstream',
      proxy: { headersTimeoutMs: 400, connections: 64 },
      ...more,
    },
  )
  const release = createRelease(options)
  const start = GATEWAYS[framework]
  if (start === undefined) throw new Error(framework)
  const gateway = await start(release)
  opened.push(async () => {
    release.close()
    await gateway.close()
  })
  const one = () =>
    new Promise<'A' | 'B'>((resolve, reject) => {
      get({ port: gateway.port, host: '127.0.0.1', path: '/', agent: false }, (response) => {
        response.resume()
        response.on('end', () => resolve(response.headers['x-upstream'] === 'A' ? 'A' : 'B')).on('error', reject)
      }).on('error', reject)
    })
  return {
    release,
    answers,
    port: gateway.port,
    second: () => {
      now += 1000
      // The guard's own timer looks too; a request is what it need not wait for.
      release.decide()
    },
    send: async (count) => {
      const served = { A: 0, B: 0 }
      for (let sent = 0; sent < count; sent += 20) {
        const batch = Array.from({ length: Math.min(20, count - sent) }, one)
        for (const side of await Promise.all(batch)) served[side] += 1
      }
      return served
    },
  }
}

/** Seconds of traffic until the release is where it should be; what is sent in each is the same. */
async function run({ send, second, release }: Scene, seconds: number, perSecond: number): Promise<number> {
  for (let passed = 1; passed <= seconds; passed += 1) {
    await send(perSecond)
    second()
    if (release.status().state === 'rolled-back') return passed
  }
  return seconds
}

describe.each(Object.keys(GATEWAYS))('the guard behind %s', (framework) => {
  test('rolls back a B that starts failing, in words, and the next request goes to A', async () => {
    const stage = await scene(framework)
    await run(stage, 3, 40)
    expect(stage.release.status().state).toBe('running')
    stage.answers.B.now = bad
    await run(stage, 20, 40)
    const { state, by, reason } = stage.release.status()
    expect([state, by]).toEqual(['rolled-back', 'guard'])
    expect(reason).toMatch(/^rolled back: B failed \d+ of [\d ]+ requests \([\d.]+ %\), A 0 of [\d ]+ \(0 %\)/)
    expect(reason).toMatch(/evidence [\d ]+ against the 100 needed/)
    expect(await stage.send(20)).toEqual({ A: 20, B: 0 })
  })

  test('rolls back a B that hangs until the head timeout', async () => {
    const stage = await scene(framework)
    stage.answers.B.now = hang
    await run(stage, 30, 40)
    expect(stage.release.status()).toMatchObject({ state: 'rolled-back', by: 'guard' })
  })

  test('rolls back a B that is slow', async () => {
    const stage = await scene(framework)
    stage.answers.B.now = (_request, response) => void setTimeout(() => response.end('late'), 150)
    await run(stage, 40, 40)
    expect(stage.release.status()).toMatchObject({ state: 'rolled-back', by: 'guard' })
    expect(stage.release.status().reason).toMatch(/slow|latency|ms/)
  })

  test('rolls back by the hard limit where A and B fail together', async () => {
    const stage = await scene(framework)
    stage.answers.A.now = bad
    stage.answers.B.now = bad
    await run(stage, 20, 40)
    expect(stage.release.status()).toMatchObject({ state: 'rolled-back', by: 'guard' })
  })

  test('lets a healthy B be, for a minute of load', async () => {
    const stage = await scene(framework, { guard: { latency: { floorMs: 1000 } } })
    expect(await run(stage, 60, 20)).toBe(60)
    expect(stage.release.status().state).toBe('running')
    expect(stage.release.guard?.report().verdict).toBe('ok')
  })

  test('counts failures that end after the share was changed', async () => {
    const stage = await scene(framework, { guard: { latency: false, hardLimit: false } })
    await run(stage, 5, 40)
    stage.answers.B.now = hang
    const before = total(stage.release.status().counts)
    const late = stage.send(20)
    // Decided under 50 %, ended under 5 %.
    await expect.poll(() => total(stage.release.status().counts)).toBe(before + 20)
    stage.release.update({ percentage: 5 })
    await late
    stage.second()
    stage.second()
    expect(stage.release.guard?.report().b.k).toBe(10)
  })

  test('takes neither WebSockets nor clients that leave for failures', async () => {
    const stage = await scene(framework)
    stage.answers.A.now = hang
    stage.answers.B.now = hang
    for (let i = 0; i < 30; i += 1) {
      const leaving = get({ port: stage.port, host: '127.0.0.1', path: '/', agent: false })
      leaving.on('error', () => {})
      await once(leaving, 'socket')
      const before = stage.release.status().counts
      await expect.poll(() => total(stage.release.status().counts) > total(before) || total(before) > i * 2).toBe(true)
      leaving.destroy()
      const upgrade = request({
        port: stage.port,
        host: '127.0.0.1',
        agent: false,
        headers: { connection: 'upgrade', upgrade: 'x' },
      })
      upgrade.end()
      const [, socket] = (await once(upgrade, 'upgrade')) as [unknown, { destroy(): void }]
      socket.destroy()
    }
    for (let i = 0; i < 5; i += 1) stage.second()
    const { a, b } = stage.release.guard?.report() ?? {}
    expect([a?.k, b?.k, stage.release.status().state]).toEqual([0, 0, 'running'])
    const { counts } = stage.release.status()
    expect([counts.A.failures, counts.B.failures]).toEqual([0, 0])
  })
})

function total({ A, B }: { A: { requests: number }; B: { requests: number } }): number {
  return A.requests + B.requests
}
