import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { createServer } from 'node:net'
import type { AddressInfo } from 'node:net'
import { dirname } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterEach, describe, expect, test } from 'vitest'
import { ArgumentError, readArguments } from '../examples/demo/arguments.js'
import { startPostgres } from './servers/postgres.js'
import { freePorts } from './servers/processes.js'
import { startRedis } from './servers/redis.js'
import { requireBinary } from './servers/requirement.js'

const program = fileURLToPath(new URL('../examples/dist/demo/main.js', import.meta.url))
const children: ChildProcess[] = []
afterEach(async () => {
  for (const child of children.splice(0)) {
    if (child.exitCode !== null || child.signalCode !== null) continue
    const closed = once(child, 'close')
    child.kill('SIGTERM')
    await closed
  }
})

interface Running {
  readonly child: ChildProcess
  readonly output: () => string
  /** Resolves once the output holds what is looked for. */
  readonly until: (pattern: RegExp) => Promise<RegExpExecArray>
  readonly ended: Promise<number | null>
}

function demo(...args: string[]): Running {
  const child = spawn(process.execPath, [program, ...args], { stdio: ['ignore', 'pipe', 'pipe'] })
  children.push(child)
  let text = ''
  const waiting = new Set<() => void>()
  const collect = (chunk: Buffer) => {
    text += String(chunk)
    for (const look of waiting) look()
  }
  child.stdout.on('data', collect)
  child.stderr.on('data', collect)
  const ended = once(child, 'close').then(([code]) => code as number | null)
  const until = (pattern: RegExp) =>
    new Promise<RegExpExecArray>((resolve, reject) => {
      const look = () => {
        const found = pattern.exec(text)
        if (found === null) return
        waiting.delete(look)
        resolve(found)
      }
      waiting.add(look)
      void ended.then(() => reject(new Error(`ended without ${pattern}: ${text}`)))
      look()
    })
  return { child, output: () => text, until, ended }
}

async function shell(command: string): Promise<string> {
  const child = spawn('sh', ['-c', `${command} --silent --show-error`], { stdio: ['ignore', 'pipe', 'inherit'] })
  let text = ''
  child.stdout.on('data', (chunk) => {
    text += String(chunk)
  })
  await once(child, 'close')
  return text
}

const ANY_PORTS = ['--port', '0', '--admin-port', '0']

describe('npm start', () => {
  test.each(['express', 'koa', 'fastify'])('moves everybody to B, and nobody back, on %s', async (framework) => {
    const { child, until, ended } = demo('--framework', framework, '--duration', '3', ...ANY_PORTS)
    await until(/asked 100\.0 % .* complete/)
    const [, moved, back] = await until(/ (\d+) moved {2}(\d+) went back {2}complete/)
    expect(Number(moved)).toBeGreaterThan(50)
    expect(back).toBe('0')
    child.kill('SIGINT')
    expect(await ended).toBe(0)
  })

  test('does the same in four processes, which take changes for each other', { timeout: 90_000 }, async () => {
    // The ramp must outlast the time that a busy machine takes until consumers are answered.
    const { child, until, output, ended } = demo('--processes', '4', '--duration', '10', ...ANY_PORTS)
    await until(/asked 100\.0 % .* complete/)
    const [, moved, back] = await until(/ (\d+) moved {2}(\d+) went back {2}complete/)
    expect(Number(moved)).toBeGreaterThan(50)
    expect(back).toBe('0')
    const [, admin = ''] = /Admin API on (\S+)/.exec(output()) ?? []
    const states: unknown[] = []
    for (let i = 0; i < 8; i += 1) {
      const percentage = 30 + i
      const patched = await shell(`curl -X PATCH ${admin}/plugins/orders-v2 --data config.percentage=${percentage}`)
      states.push(JSON.parse(patched).config.percentage)
    }
    expect(states).toEqual([30, 31, 32, 33, 34, 35, 36, 37])
    await until(/asked 37\.0 %/)
    child.kill('SIGINT')
    expect(await ended).toBe(0)
    expect(output()).not.toContain('rror')
  })

  test('shows the guard of one of several processes roll a bad B back for all', { timeout: 90_000 }, async () => {
    const { until } = demo('--processes', '2', '--percentage', '50', '--bad-after', '1', ...ANY_PORTS)
    await until(/rolled back: B failed \d+ of/)
  })

  test('leaves nothing behind, and says nothing more', async () => {
    const { child, output, until, ended } = demo(...ANY_PORTS)
    const [, file = ''] = await until(/kept in (\S+) until/)
    await until(/1 s {2}asked/)
    expect(existsSync(file)).toBe(true)
    child.kill('SIGTERM')
    expect(await ended).toBe(0)
    expect(existsSync(dirname(file))).toBe(false)
    expect(output()).toMatch(/\d+ s {2}asked .*\n$/)
    expect(output()).not.toContain('rror')
  })

  test('ends where nobody reads on', async () => {
    const { child, until, ended } = demo(...ANY_PORTS)
    await until(/Ctrl-C ends it/)
    child.stdout?.destroy()
    expect(await ended).toBe(0)
  })

  test('prints commands that work', async () => {
    const { output, until } = demo('--percentage', '10', ...ANY_PORTS)
    await until(/1 s {2}asked/)
    const commands = output()
      .split('\n')
      .filter((text) => text.startsWith('  curl '))
      .map((text) => text.trim())
    expect(commands).toHaveLength(7)
    const answers: string[] = []
    for (const command of commands) answers.push(await shell(command))
    expect(answers[0]).toMatch(/^orders version [12] \([AB]\): GET \/1\n$/)
    expect(answers[1]).toBe('orders version 2 (B): GET /1\n')
    expect(JSON.parse(answers[2] ?? '')).toMatchObject({ decision: { release: 'orders-v2', hashedBy: 'consumer' } })
    expect(JSON.parse(answers[3] ?? '')).toMatchObject({ config: { percentage: 25 } })
    expect(JSON.parse(answers[4] ?? '')).toMatchObject({ state: 'rolled-back', reason: 'just trying' })
    expect(JSON.parse(answers[5] ?? '')).toMatchObject({ config: { percentage: 50 } })
    expect(JSON.parse(answers[6] ?? '')).toMatchObject({ state: 'promoted', bucketsOnB: 100 })
    await until(/asked 100\.0 % .* promoted/)
  })

  test('shows the guard roll a bad B back', { timeout: 90_000 }, async () => {
    const { until } = demo('--percentage', '50', '--bad-after', '1', ...ANY_PORTS)
    await until(/rolled back: B failed \d+ of/)
  })

  test.each(['--port', '--admin-port'])('says in a sentence that the port of %s is in use', async (name) => {
    const server = createServer()
    await once(server.listen(0, '127.0.0.1'), 'listening')
    const { port } = server.address() as AddressInfo
    const { ended, output } = demo(...ANY_PORTS, name, String(port))
    expect(await ended).toBe(1)
    expect(output()).toBe(`port ${port} is in use by another program: choose others with --port and --admin-port\n`)
    server.close()
  })

  test('says in a sentence that a port is in use where processes share it', async () => {
    const server = createServer()
    await once(server.listen(0, '127.0.0.1'), 'listening')
    const { port } = server.address() as AddressInfo
    const { ended, output } = demo('--processes', '2', ...ANY_PORTS, '--port', String(port))
    expect(await ended).toBe(1)
    expect(output()).toBe(`port ${port} is in use by another program: choose others with --port and --admin-port\n`)
    server.close()
  })

  test('says in a sentence what is wrong with an argument', async () => {
    const { ended, output } = demo('--framework', 'hapi')
    expect(await ended).toBe(1)
    expect(output()).toBe(
      '--framework must be one of express, koa, fastify, got hapi\nnpm start -- --help says what there is.\n',
    )
  })

  test('explains itself', async () => {
    const { ended, output } = demo('--help')
    expect(await ended).toBe(0)
    expect(output()).toContain('npm start -- --bad-after 20')
  })
})

interface Engine {
  readonly binary: string
  readonly start: () => Promise<AsyncDisposable & { readonly url: string }>
  readonly unreachable: (port: number) => string
  readonly said: (port: number) => string
}

const ENGINES: readonly Engine[] = [
  {
    binary: 'redis-server',
    start: startRedis,
    unreachable: (port) => `redis://me:secret@127.0.0.1:${port}`,
    said: (port) =>
      `Redis cannot be reached: check host and port of its URL, and the server (connect ECONNREFUSED 127.0.0.1:${port})\n`,
  },
  {
    binary: 'postgres',
    start: startPostgres,
    unreachable: (port) => `postgres://me:secret@127.0.0.1:${port}/postgres`,
    said: (port) =>
      `the PostgreSQL server does not answer: check host and port in the connection string, and the server (connect ECONNREFUSED 127.0.0.1:${port})\n`,
  },
]

for (const { binary, start, unreachable, said } of ENGINES) {
  requireBinary(binary)(`npm start -- --store, on ${binary}`, () => {
    test('serves from four processes, and begins anew where a demo was before', { timeout: 90_000 }, async () => {
      await using server = await start()
      const args = ['--processes', '4', '--store', server.url, '--percentage', '20', ...ANY_PORTS]
      for (let turn = 0; turn < 2; turn += 1) {
        const { child, until, output, ended } = demo(...args)
        await until(/asked 20\.0 % .* running/)
        const [, admin = ''] = /Admin API on (\S+)/.exec(output()) ?? []
        // Each process has heard of it: connections are dealt out to them one by one.
        const heard = async () => (await shell(`curl ${admin}/plugins/orders-v2`)).includes('"percentage":20')
        for (let times = 0; times < 8; times = (await heard()) ? times + 1 : 0);
        const states: unknown[] = []
        for (let i = 0; i < 8; i += 1) {
          const patched = await shell(`curl -X PATCH ${admin}/plugins/orders-v2 --data config.percentage=${30 + i}`)
          states.push(JSON.parse(patched).config?.percentage)
        }
        expect(states).toEqual([30, 31, 32, 33, 34, 35, 36, 37])
        await until(/asked 37\.0 %/)
        await shell(`curl -X POST ${admin}/canaries/orders-v2/rollback`)
        await until(/asked 0\.0 % .* rolled-back/)
        child.kill('SIGINT')
        expect(await ended).toBe(0)
        expect(output()).not.toContain('rror')
      }
    })

    test('shows the guard of several processes roll a bad B back', { timeout: 90_000 }, async () => {
      await using server = await start()
      const args = ['--processes', '2', '--store', server.url, '--percentage', '50', '--bad-after', '1']
      const { until } = demo(...args, ...ANY_PORTS)
      await until(/rolled back: B failed \d+ of/)
    })
  })

  test(`npm start -- --store says in a sentence that it is unreachable (${binary})`, async () => {
    const [port = 0] = await freePorts(1)
    const { ended, output } = demo('--store', unreachable(port), ...ANY_PORTS)
    expect(await ended).toBe(1)
    expect(output()).toBe(said(port))
  })
}

describe('the arguments of the demo', () => {
  test('have defaults', () => {
    expect(readArguments([])).toEqual({
      framework: 'express',
      percentage: null,
      duration: 60,
      port: 8000,
      adminPort: 8001,
      processes: 1,
      store: null,
      badAfter: null,
    })
  })

  test.each([
    [['--percentage', '101'], '--percentage must be between 0 and 100, got 101'],
    [['--duration', ''], '--duration must be between 1 and 86400, got '],
    [['--port', '80.5'], '--port must be a whole number, got 80.5'],
    [['--processes', '0'], '--processes must be between 1 and 16, got 0'],
    [['--processes', '1.5'], '--processes must be a whole number, got 1.5'],
    [
      ['--store', 'mysql://me:secret@localhost'],
      '--store must be a URL such as redis://localhost:6379 or postgres://localhost/postgres',
    ],
    [['--nonsense'], "Unknown option '--nonsense'"],
    [['--percentage', '0.5'], '--percentage must reach one of 100 buckets, got 0.5'],
    [['--percentage', '10', '--duration', '5'], '--duration is for a ramp: with --percentage there is none'],
    [['--port', '81', '--admin-port', '81'], '--port and --admin-port must differ, got 81 twice'],
  ])('refuse %j', (args, message) => {
    expect(() => readArguments(args)).toThrow(new ArgumentError(message))
  })
})
