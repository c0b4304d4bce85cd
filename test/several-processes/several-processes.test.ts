import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { type Server, createServer, get, request } from 'node:http'
import { type AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterEach, describe, expect, test } from 'vitest'

const pathOf = (name: string) => fileURLToPath(new URL(name, import.meta.url))

const closing: (() => unknown)[] = []
afterEach(async () => {
  for (const close of closing.splice(0).reverse()) await close()
})

/** An upstream that always answers with one status. */
async function upstream(status: number): Promise<string> {
  const server: Server = createServer((incoming, response) => {
    incoming.resume()
    response.statusCode = status
    response.end()
  })
  await once(server.listen(0, '127.0.0.1'), 'listening')
  closing.push(() => {
    server.close()
    server.closeAllConnections()
  })
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`
}

async function freePort(): Promise<string> {
  const server = createServer()
  await once(server.listen(0, '127.0.0.1'), 'listening')
  const { port } = server.address() as AddressInfo
  server.close()
  return `http://127.0.0.1:${port}`
}

/** A program that runs until the test ends, and the address that it says as often as `times`. */
async function run(program: string, args: readonly string[], env: NodeJS.ProcessEnv, times: number): Promise<string> {
  const child = spawn(process.execPath, [program, ...args], { env: { ...process.env, PORT: '0', ...env } })
  const exit = once(child, 'exit')
  closing.push(async () => {
    child.kill('SIGINT')
    expect(await exit).toEqual([0, null])
  })
  let said = ''
  return new Promise((resolve, reject) => {
    const hear = (chunk: unknown) => {
      said += String(chunk)
      const found = [...said.matchAll(/http:\/\/127\.0\.0\.1:\d+/g)].map(String)
      if (found.length >= times) resolve(found[0] ?? '')
    }
    child.stdout.on('data', hear)
    child.stderr.on('data', hear)
    exit.then(() => reject(new Error(said)), reject)
  })
}

interface Answer {
  readonly process: string
  readonly status: number
  readonly body: Record<string, unknown>
}

/** Asks on a connection of its own: those are dealt out to the processes one by one. */
function ask(url: string, method = 'GET', body?: object): Promise<Answer> {
  const headers = { authorization: 'Bearer only-for-examples', 'content-type': 'application/json' }
  return new Promise((resolve, reject) => {
    const sent = request(url, { method, headers, agent: false }, (response) => {
      let text = ''
      response.on('data', (chunk) => (text += String(chunk)))
      response.on('end', () => {
        const of = String(response.headers['x-process'])
        resolve({ process: of, status: response.statusCode ?? 0, body: text === '' ? {} : JSON.parse(text) })
      })
    })
    sent.on('error', reject)
    // What a worker had been dealt that was killed nobody answers.
    sent.setTimeout(2_000, () => sent.destroy(new Error('no answer')))
    sent.end(body === undefined ? undefined : JSON.stringify(body))
  })
}

/** Asks for the release until so many processes say what is looked for. */
async function inForce(url: string, processes: number, wanted: Record<string, unknown>): Promise<Set<string>> {
  const seen = new Set<string>()
  while (seen.size < processes) {
    const { process: of, body } = await ask(`${url}/release`)
    if (Object.entries(wanted).every(([key, value]) => body[key] === value)) seen.add(of)
    else await new Promise((resolve) => setTimeout(resolve, 10))
  }
  return seen
}

async function load(url: string, until: Promise<unknown>): Promise<void> {
  const still = { is: true }
  const over = until.finally(() => {
    still.is = false
  })
  const one = () =>
    new Promise<void>((resolve, reject) => {
      get(`${url}/orders/1`, { agent: false }, (response) => response.resume().once('end', resolve)).once(
        'error',
        reject,
      )
    })
  while (still.is) await Promise.all(Array.from({ length: 8 }, one))
  await over
}

/** What two processes must do that share one file. */
async function checkBoth(url: string): Promise<Set<string>> {
  const processes = await inForce(url, 2, { state: 'running', percentage: 10 })
  const makers = new Set<string>()
  for (let percentage = 41; percentage <= 50; percentage += 1) {
    const { process: of, status } = await ask(`${url}/admin/plugins/orders-v2`, 'PATCH', { config: { percentage } })
    expect(status).toBe(200)
    makers.add(of)
  }
  // Both make changes, and what either of them made is in force in both.
  expect(makers).toEqual(processes)
  await inForce(url, 2, { percentage: 50 })
  // B fails always: the guard of one of them is the first to see it.
  await load(url, inForce(url, 2, { state: 'rolled-back', by: 'guard' }))
  const { body } = await ask(`${url}/admin/audit`)
  expect(JSON.stringify(body)).toMatch(/rollback plugins/)
  return processes
}

describe('several processes on one file', { timeout: 180_000 }, () => {
  test('node:cluster: each worker takes changes and stores its guard’s moves, for all of them, also for one that begins later', async () => {
    const env = { A: await upstream(200), B: await upstream(500) }
    const url = await run(pathOf('../../examples/dist/cluster.js'), [], env, 4)
    const [first = ''] = await checkBoth(url)
    process.kill(Number(first), 'SIGKILL')
    const later = await inForceOfAnother(url, first)
    expect(later).toMatchObject({ state: 'rolled-back', by: 'guard' })
    const patched = await ask(`${url}/admin/canaries/orders-v2/restart`, 'POST', {})
    expect(patched.status).toBe(200)
    await inForce(url, 2, { state: 'running' })
  })

  test('PM2: its file runs two gateways that do the same', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'canary-pm2-'))
    closing.push(() => rm(folder, { recursive: true }))
    const env = { A: await freePort(), B: await freePort(), BAD_RATE: '1', FILE: join(folder, 'canaries.json') }
    const ecosystem = pathOf('../../examples/several-processes/ecosystem.config.cjs')
    const url = await run(pathOf('ecosystem.js'), [ecosystem], env, 2)
    await checkBoth(url)
  })
})

/** The release as a process says that took the place of one that was killed. */
async function inForceOfAnother(url: string, gone: string): Promise<Record<string, unknown>> {
  const known = new Map<string, Record<string, unknown>>()
  for (;;) {
    const answer = await ask(`${url}/release`).catch(() => null)
    if (answer === null || answer.process === gone) continue
    known.set(answer.process, answer.body)
    const [, newer] = [...known.values()]
    if (newer !== undefined) return newer
  }
}
