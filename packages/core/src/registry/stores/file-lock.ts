import { execFile } from 'node:child_process'
import { randomUUID } from 'node:crypto'
import { link, readFile, rename, rm, stat, utimes, writeFile } from 'node:fs/promises'
import { hostname } from 'node:os'
import { promisify } from 'node:util'
import { z } from 'zod'
import { CanaryError } from '../../errors.js'
import { inRoot } from '../../request-context.js'
import { codeOf } from './whole-file.js'

const ownerSchema = z.object({ pid: z.int().min(1), start: z.string(), host: z.string(), token: z.string() })

/** Who holds a lock. A pid alone says little: it is given to another process soon after a crash. */
type Owner = z.output<typeof ownerSchema>

const HEARTBEAT_MS = 5_000
/** A holder on another host, whose processes cannot be seen, counts as dead after this time without a heartbeat. */
const FOREIGN_DEAD_MS = 30_000
const ATTEMPTS = 5

/** A lock file that the process holds until it releases it or dies. */
export class FileLock {
  readonly #path: string
  readonly #text: string
  readonly #timer: NodeJS.Timeout

  private constructor(path: string, text: string) {
    this.#path = path
    this.#text = text
    const beat = (): void => void utimes(path, new Date(), new Date()).catch(() => undefined)
    this.#timer = inRoot(() => setInterval(beat, HEARTBEAT_MS).unref())
  }

  /** @throws {CanaryError} ERR_CANARY_STORE that names the process that holds it */
  static async acquire(path: string): Promise<FileLock> {
    const owner: Owner = {
      pid: process.pid,
      start: (await startOf(process.pid)) ?? '',
      host: hostname(),
      token: randomUUID(),
    }
    const text = JSON.stringify(owner)
    const mine = `${path}.${owner.token}`
    await writeFile(mine, text, { flag: 'wx', mode: 0o600 })
    try {
      for (let attempt = 0; attempt < ATTEMPTS; attempt += 1) {
        if (await linked(mine, path)) return new FileLock(path, text)
        await removeDead(path, `${mine}.dead`)
      }
      throw new CanaryError('ERR_CANARY_STORE', 'the lock of the store changes hands all the time')
    } finally {
      await rm(mine, { force: true })
    }
  }

  /** Whether this process holds it still: somebody may have removed the file. */
  async isHeld(): Promise<boolean> {
    return (await textOf(this.#path)) === this.#text
  }

  async release(): Promise<void> {
    clearInterval(this.#timer)
    if (await this.isHeld()) await rm(this.#path, { force: true })
  }
}

/** A link to a name that must be free: at any instant one process at most succeeds. */
async function linked(from: string, to: string): Promise<boolean> {
  try {
    await link(from, to)
    return true
  } catch (error) {
    if (codeOf(error) === 'EEXIST') return false
    throw error
  }
}

/** Takes a dead holder's lock out of the way; throws where it lives. */
async function removeDead(path: string, aside: string): Promise<void> {
  const text = await textOf(path)
  if (text === null) return
  const owner = ownerOf(text)
  if (owner !== null && (await isAlive(owner, path))) {
    const where = owner.host === hostname() ? '' : ` on ${owner.host}`
    throw new CanaryError(
      'ERR_CANARY_STORE',
      `the store is being written by process ${owner.pid}${where}: one writer at a time`,
    )
  }
  try {
    await rename(path, aside)
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return
    throw error
  }
  // Another process may have taken the dead one's place in the meantime: it gets its lock back.
  if ((await textOf(aside)) !== text) await linked(aside, path)
  await rm(aside, { force: true })
}

async function textOf(path: string): Promise<string | null> {
  try {
    return await readFile(path, 'utf8')
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return null
    throw error
  }
}

function ownerOf(text: string): Owner | null {
  try {
    return ownerSchema.parse(JSON.parse(text))
  } catch {
    // Written by link, a lock is whole or not there; anything else is nobody's.
    return null
  }
}

async function isAlive(owner: Owner, path: string): Promise<boolean> {
  if (owner.host !== hostname()) return Date.now() - (await stat(path)).mtimeMs < FOREIGN_DEAD_MS
  if (!exists(owner.pid)) return false
  const start = await startOf(owner.pid)
  return start === null || owner.start === '' || start === owner.start
}

function exists(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch (error) {
    return codeOf(error) === 'EPERM'
  }
}

/** When a process began, as its system says it; `null` where that cannot be told. */
async function startOf(pid: number): Promise<string | null> {
  try {
    if (process.platform === 'linux') {
      const text = await readFile(`/proc/${pid}/stat`, 'utf8')
      // The name in parentheses may hold spaces; after it, the 20th field is the start in clock ticks since boot.
      return text.slice(text.lastIndexOf(')') + 2).split(' ')[19] ?? null
    }
    if (process.platform === 'win32') return null
    const { stdout } = await promisify(execFile)('ps', ['-o', 'lstart=', '-p', String(pid)])
    return stdout.trim() || null
  } catch {
    return null
  }
}
