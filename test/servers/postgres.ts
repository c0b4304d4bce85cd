import { type ChildProcess, execFileSync, spawn, spawnSync } from 'node:child_process'
import { cpSync, lchownSync, mkdtempSync, readFileSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { freePorts } from './processes.js'
import { findBinary } from './requirement.js'

/** A PostgreSQL server of a test's own, in a folder of its own. */
export interface PostgresServer extends AsyncDisposable {
  /** Where its data are. */
  readonly folder: string
  readonly url: string
  readonly port: number
  /** Kills all of its processes at once, as a power cut would. */
  kill(): Promise<void>
  /** Stops it in an orderly way. */
  stop(): Promise<void>
  /** Starts it again on the same data and port, with further settings. */
  start(settings?: Settings): Promise<void>
  /** Stops all of its processes (SIGSTOP): connections are accepted and nothing is answered. */
  freeze(): void
  thaw(): void
  /** Starts it on a copy of its folder from before: an old backup. */
  restore(backup: string): Promise<void>
  /** A second server that follows this one, read-only; by way of `port`, so that a test can cut the link. */
  standby(port?: number): Promise<PostgresServer>
  /** Of a standby: makes it a primary that goes on with what it has. */
  promote(): Promise<void>
}

type Settings = Readonly<Record<string, string>>

/** Starts a server with an empty database. It takes anyone from this host, as `postgres` without a password. */
export async function startPostgres(settings: Settings = {}): Promise<PostgresServer> {
  const folder = dataFolder()
  run('initdb', ['-D', folder, '-U', 'postgres', '-A', 'trust', '--encoding=UTF8', '--locale=C', '--no-sync'])
  return started(folder, (await freePorts(1))[0] ?? 0, settings)
}

async function started(folder: string, port: number, settings: Settings): Promise<PostgresServer> {
  let server = await launch(folder, port, settings)
  let extra = settings
  const end = async (signal: NodeJS.Signals): Promise<void> => {
    if (server.exitCode !== null || server.signalCode !== null) return
    const exited = new Promise((resolve) => server.once('exit', resolve))
    // Backends have sessions of their own, and live on without their parent for a moment.
    const all = signal === 'SIGKILL' ? family(server) : [server.pid]
    for (const pid of all) send(pid, signal)
    await exited
    for (const pid of all) await gone(pid)
  }
  const each = (signal: NodeJS.Signals): void => {
    for (const pid of family(server)) send(pid, signal)
  }
  const start = async (further: Settings = {}): Promise<void> => {
    rmSync(join(folder, 'postmaster.pid'), { force: true })
    extra = { ...extra, ...further }
    server = await launch(folder, port, extra)
  }
  return {
    folder,
    url: `postgres://postgres@127.0.0.1:${port}/postgres`,
    port,
    kill: () => end('SIGKILL'),
    stop: () => end('SIGINT'),
    start,
    restore: async (backup) => {
      await end('SIGKILL')
      rmSync(folder, { recursive: true })
      cpSync(backup, folder, { recursive: true })
      own(folder)
      await start()
    },
    freeze: () => each('SIGSTOP'),
    thaw: () => each('SIGCONT'),
    promote: async () => {
      run('pg_ctl', ['promote', '-w', '-s', '-D', folder])
    },
    standby: async (way = port) => {
      const copy = dataFolder()
      rmSync(copy, { recursive: true })
      run('pg_basebackup', ['-D', copy, '-h', '127.0.0.1', '-p', String(port), '-U', 'postgres', '-R', '-c', 'fast'])
      return started(copy, (await freePorts(1))[0] ?? 0, {
        ...extra,
        synchronous_standby_names: '',
        primary_conninfo: `host=127.0.0.1 port=${way} user=postgres`,
      })
    },
    [Symbol.asyncDispose]: async () => {
      each('SIGCONT')
      // At once, and it waits for its children.
      await end('SIGQUIT')
      rmSync(folder, { recursive: true, force: true })
    },
  }
}

/** Resolves when it accepts connections. */
async function launch(folder: string, port: number, settings: Settings): Promise<ChildProcess> {
  const all = {
    port: String(port),
    listen_addresses: '127.0.0.1',
    unix_socket_directories: '',
    fsync: 'off',
    ...settings,
  }
  const args = Object.entries(all).flatMap(([name, value]) => ['-c', `${name}=${value}`])
  const server = spawn(binary('postgres'), ['-D', folder, ...args], { ...user(), stdio: ['ignore', 'ignore', 'pipe'] })
  let log = ''
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject)
    server.once('exit', () => reject(new Error(`postgres did not start:\n${log}`)))
    server.stderr?.setEncoding('utf8').on('data', (text: string) => {
      log = (log + text).slice(-10_000)
      if (/ready to accept (?:read-only )?connections/.test(log)) resolve()
    })
  })
  return server
}

function binary(name: string): string {
  const path = findBinary(name)
  if (path === null) throw new Error(`${name} is not installed`)
  return path
}

function run(name: string, args: readonly string[]): void {
  const { status, stderr } = spawnSync(binary(name), args, { ...user(), encoding: 'utf8' })
  if (status !== 0) throw new Error(`${name}: ${stderr}`)
}

/** PostgreSQL refuses to run as root. */
function user(): { uid?: number; gid?: number; cwd: string } {
  if (process.getuid?.() !== 0) return { cwd: tmpdir() }
  const id = (flag: string): number => Number(execFileSync('id', [flag, 'postgres'], { encoding: 'utf8' }))
  return { uid: id('-u'), gid: id('-g'), cwd: tmpdir() }
}

function dataFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), 'canary-postgres-'))
  own(folder)
  return folder
}

/** Gives a folder, and what is in it, to the user that the server runs as. */
function own(folder: string): void {
  const { uid, gid } = user()
  if (uid === undefined || gid === undefined) return
  const inside = readdirSync(folder, { recursive: true, encoding: 'utf8' }).map((name) => join(folder, name))
  for (const path of [folder, ...inside]) lchownSync(path, uid, gid)
}

/** A server's process and its children. */
function family({ pid }: ChildProcess): number[] {
  if (pid === undefined) return []
  const children = readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .filter((name) => parentOf(name) === pid)
    .map(Number)
  return [pid, ...children]
}

function parentOf(pid: string): number | null {
  try {
    // The name, in brackets, may contain anything.
    const [, parent] = readFileSync(`/proc/${pid}/stat`, 'utf8')
      .replace(/^.*\) /s, '')
      .split(' ')
    return Number(parent)
  } catch {
    return null
  }
}

function send(pid: number | undefined, signal: NodeJS.Signals): void {
  if (pid === undefined) return
  try {
    process.kill(pid, signal)
  } catch {
    // It has ended.
  }
}

/** Waits until a process has ended; where nobody reaps it, it stays a zombie, which holds nothing. */
async function gone(pid: number | undefined): Promise<void> {
  for (;;) {
    let state = 'Z'
    try {
      state = readFileSync(`/proc/${pid}/stat`, 'utf8')
        .replace(/^.*\) /s, '')
        .charAt(0)
    } catch {
      return
    }
    if (state === 'Z' || state === 'X') return
    await new Promise((resolve) => setTimeout(resolve, 5))
  }
}
