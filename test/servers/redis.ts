import { type ChildProcess, spawn } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { endProcess, freePorts, until } from './processes.js'

/** A `redis-server` of its own, in a temporary folder that is removed with it. */
export interface RedisServer extends AsyncDisposable {
  readonly port: number
  readonly url: string
  /** Where its data are. */
  readonly folder: string
  /** Sends a command, and gives its answer as `redis-cli` would print it raw. */
  command(...args: readonly string[]): Promise<string>
  /** Ends it at once, as a crash does. */
  kill(): Promise<void>
  /** Starts it again where it was killed, with what it has on disk. */
  start(): Promise<void>
  /** Lets it stand still: connections stay open, nothing is answered. */
  freeze(): void
  thaw(): void
}

/** What the store demands, and nothing that takes time. */
const SETTINGS = {
  appendonly: 'yes',
  // Written before a change is acknowledged: 'everysec' puts that off while the disk is slow, and a crash loses it.
  appendfsync: 'always',
  'maxmemory-policy': 'noeviction',
  save: '',
  bind: '127.0.0.1',
  // A replica is fed at once, not after 5 s.
  'repl-diskless-sync-delay': '0',
}

/** @param settings lines of redis.conf; `null` leaves one out */
export async function startRedis(settings: Readonly<Record<string, string | null>> = {}): Promise<RedisServer> {
  return started(settings, [])
}

/** A Sentinel, which writes into its file. */
export async function startSentinel(file: string, port: number): Promise<RedisServer> {
  const none = Object.fromEntries(Object.keys(SETTINGS).map((name) => [name, null]))
  return started({ ...none, port: String(port), dir: null }, [file, '--sentinel'])
}

async function started(
  settings: Readonly<Record<string, string | null>>,
  first: readonly string[],
): Promise<RedisServer> {
  const folder = mkdtempSync(join(tmpdir(), 'canary-redis-'))
  const port = Number(settings['port'] ?? (await freePorts(1))[0])
  const all = { ...SETTINGS, port: String(port), dir: folder, ...settings }
  const args = Object.entries(all).flatMap(([name, value]) =>
    value === null ? [] : [`--${name}`].concat(value === '' ? '' : value.split(' ')),
  )
  let child: ChildProcess | null = null
  const command = (...words: readonly string[]) => ask(port, words)

  const start = async () => {
    const started = spawn('redis-server', [...first, ...args], { stdio: ['ignore', 'pipe', 'inherit'] })
    child = started
    let said = ''
    started.stdout.on('data', (chunk) => {
      said = `${said}${String(chunk)}`.slice(-4000)
    })
    await until(async () => {
      if (started.exitCode !== null) throw new Error(`redis-server ended: ${said}`)
      return (await command('PING').catch(() => '')) !== '' && !said.includes('unused')
    }, 'redis-server listens')
    await until(async () => !/LOADING/.test(await command('PING')), 'redis-server has read its data')
  }
  const end = async () => {
    if (child !== null) await endProcess(child, 'SIGKILL')
  }
  try {
    await start()
  } catch (error) {
    await end()
    rmSync(folder, { recursive: true, force: true })
    throw error
  }
  return {
    port,
    url: `redis://127.0.0.1:${port}`,
    folder,
    command,
    start,
    kill: end,
    freeze: () => void child?.kill('SIGSTOP'),
    thaw: () => void child?.kill('SIGCONT'),
    async [Symbol.asyncDispose]() {
      await end()
      rmSync(folder, { recursive: true, force: true })
    },
  }
}

/** One command on a connection of its own, in the protocol itself: the tests' hands must not be those that are tested. */
function ask(port: number, words: readonly string[]): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = connect(port, '127.0.0.1')
    let text = ''
    socket.setTimeout(5_000, () => socket.destroy(new Error('redis-server does not answer')))
    socket.on('error', reject)
    socket.on('data', (chunk) => {
      text += String(chunk)
    })
    socket.on('close', () => resolve(text.replace(/\+OK\r\n$/, '').trim()))
    const parts = words.map((word) => `$${Buffer.byteLength(word)}\r\n${word}\r\n`)
    socket.end(`*${words.length}\r\n${parts.join('')}*1\r\n$4\r\nQUIT\r\n`)
  })
}
