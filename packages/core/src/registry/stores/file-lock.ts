import { randomUUID } from 'node:crypto'
import { type FileHandle, readFile, readdir, readlink, rm } from 'node:fs/promises'
import { hostname } from 'node:os'
import { basename, dirname, join } from 'node:path'
import { setTimeout as after } from 'node:timers/promises'
import { z } from 'zod'
import { CanaryError } from '../../errors.js'
import { inRoot } from '../../request-context.js'
import { codeOf, createNew, readWhole } from './whole-file.js'

/** A lock that was not renewed for this time is nobody's. */
const OVERDUE_MS = 5_000
const RENEWAL_MS = 1_000
/** Clocks that were set back: a lock from the future is nobody's either. */
const FUTURE_MS = 1_000
const LEAST_PAUSE_MS = 5
const MOST_PAUSE_MS = 50
/** How long it is waited for where the caller says nothing. */
const PATIENCE_MS = 10_000

const ownerSchema = z.object({
  pid: z.int().min(1),
  host: z.string(),
  /** Of the kernel, since when it runs. `''` where that cannot be told. */
  boot: z.string(),
  /** Of the processes among which the pid is one. `''` where that cannot be told. */
  namespace: z.string(),
  token: z.string(),
})

/** Who holds a lock. */
type Owner = z.output<typeof ownerSchema>

/**
 * A lock on writing a file, held for one write.
 *
 * It may be taken from a holder that was stopped, or even wrongly: no write is lost by that. Whoever takes it first
 * removes the drafts of all others, so that a holder who goes on late has nothing to rename any more. A draft is of use
 * only where its writer held the lock after making it ({@link isHeld}).
 */
export class FileLock {
  /** Where the holder writes what it will rename over the file. */
  readonly draft: string
  readonly #path: string
  readonly #file: FileHandle
  readonly #text: string
  readonly #timer: NodeJS.Timeout

  private constructor(target: string, file: FileHandle, owner: Owner) {
    this.draft = draftOf(target, owner.token)
    this.#path = lockOf(target)
    this.#file = file
    this.#text = JSON.stringify(owner)
    // Written, not touched: the time is the file system's then, as that of everybody who looks at it.
    const renew = (): void => void this.#write().catch(() => undefined)
    this.#timer = inRoot(() => setInterval(renew, RENEWAL_MS).unref())
  }

  /**
   * Waits until nobody else writes.
   *
   * @param target the file itself, not a link to it
   * @param waitsFor told who holds it, in words, whenever it is held
   * @throws {CanaryError} ERR_CANARY_STORE that names the holder, where it waited for too long
   */
  static async take(
    target: string,
    signal: AbortSignal = AbortSignal.timeout(PATIENCE_MS),
    waitsFor: (words: string) => void = () => undefined,
  ): Promise<FileLock> {
    const owner = { ...(await self()), token: randomUUID() }
    let clock: FileClock | null = null
    for (;;) {
      /* oxlint-disable no-await-in-loop -- each attempt follows on the one before */
      const file = await createdOrNull(lockOf(target))
      if (file !== null) return await FileLock.#taken(target, file, owner)
      clock ??= await FileClock.of(target)
      const holder = await holderOf(lockOf(target))
      if (holder !== null && (isOverdue(holder.modified, clock.now()) || isDead(holder.owner, owner))) {
        await removeLock(target, holder.owner)
        continue
      }
      const words = describeHolder(holder?.owner ?? null)
      waitsFor(words)
      if (signal.aborted) throw new CanaryError('ERR_CANARY_STORE', words)
      await after(LEAST_PAUSE_MS + Math.random() * (MOST_PAUSE_MS - LEAST_PAUSE_MS))
      /* oxlint-enable no-await-in-loop */
    }
  }

  static async #taken(target: string, file: FileHandle, owner: Owner): Promise<FileLock> {
    const lock = new FileLock(target, file, owner)
    try {
      await lock.#write()
      await removeDrafts(target)
      return lock
    } catch (error) {
      await lock.release()
      throw error
    }
  }

  /** Whether this is the holder still. */
  async isHeld(): Promise<boolean> {
    return (await readWhole(this.#path))?.text === this.#text
  }

  async release(): Promise<void> {
    clearInterval(this.#timer)
    try {
      if (await this.isHeld()) await rm(this.#path, { force: true })
    } catch {
      // Overdue soon, it is taken by the next one.
    } finally {
      await this.#file.close().catch(() => undefined)
    }
  }

  async #write(): Promise<void> {
    await this.#file.write(this.#text, 0)
  }
}

const lockOf = (target: string) => `${target}.lock`
const draftOf = (target: string, token: string) => `${target}.${token}.tmp`

const DRAFT_TAIL = /^\.[\da-f]{8}(?:-[\da-f]{4}){3}-[\da-f]{12}\.tmp$/

/** From here on, nobody who had the lock before can put anything in the file's place. */
async function removeDrafts(target: string): Promise<void> {
  const [folder, name] = [dirname(target), basename(target)]
  const drafts = (await readdir(folder)).filter(
    (each) => each.startsWith(name) && DRAFT_TAIL.test(each.slice(name.length)),
  )
  await Promise.all(drafts.map((each) => rm(join(folder, each), { force: true })))
}

/** The draft of who held it is removed by name: a list of a folder on a network may be an old one. */
async function removeLock(target: string, owner: Owner | null): Promise<void> {
  await rm(lockOf(target), { force: true })
  if (owner !== null && DRAFT_TAIL.test(`.${owner.token}.tmp`)) await rm(draftOf(target, owner.token), { force: true })
}

async function createdOrNull(path: string): Promise<FileHandle | null> {
  try {
    return await createNew(path)
  } catch (error) {
    const code = codeOf(error)
    // On Windows, a name that is being removed is neither there nor free.
    const isGoing = process.platform === 'win32' && (code === 'EPERM' || code === 'EBUSY' || code === 'EACCES')
    if (code === 'EEXIST' || isGoing) return null
    throw error
  }
}

/** The time as the file system's clock has it, which may be another host's. */
class FileClock {
  readonly #ahead: number

  private constructor(ahead: number) {
    this.#ahead = ahead
  }

  static async of(target: string): Promise<FileClock> {
    const probe = draftOf(target, randomUUID())
    const file = await createNew(probe)
    try {
      return new FileClock((await file.stat()).mtimeMs - performance.now())
    } finally {
      await file.close()
      await rm(probe, { force: true })
    }
  }

  now(): number {
    return this.#ahead + performance.now()
  }
}

function isOverdue(modified: number, now: number): boolean {
  const age = now - modified
  return age > OVERDUE_MS || age < -FUTURE_MS
}

/** A pid says something only among the same processes of the same kernel. */
function isDead(owner: Owner | null, me: Omit<Owner, 'token'>): boolean {
  if (owner === null || owner.boot === '' || owner.namespace === '') return false
  if (owner.boot !== me.boot || owner.namespace !== me.namespace || owner.host !== me.host) return false
  try {
    process.kill(owner.pid, 0)
    return false
  } catch (error) {
    return codeOf(error) === 'ESRCH'
  }
}

/** Who holds a lock and when that was last said; `null` where it is free by now. */
async function holderOf(path: string): Promise<{ owner: Owner | null; modified: number } | null> {
  const lock = await readWhole(path)
  return lock === null ? null : { owner: ownerIn(lock.text), modified: lock.modified }
}

function ownerIn(text: string): Owner | null {
  try {
    return ownerSchema.parse(JSON.parse(text))
  } catch {
    // Not written yet, or by nobody of ours: its age decides.
    return null
  }
}

function describeHolder(owner: Owner | null): string {
  if (owner === null) return 'the store is being written by others all the time'
  const where = owner.host === hostname() ? '' : ` on ${owner.host}`
  return `the store is being written by process ${owner.pid}${where}`
}

let known: Omit<Owner, 'token'> | null = null

async function self(): Promise<Omit<Owner, 'token'>> {
  if (known !== null) return known
  const [boot, namespace] = await Promise.all([
    readFile('/proc/sys/kernel/random/boot_id', 'utf8').catch(() => ''),
    readlink('/proc/self/ns/pid').catch(() => ''),
  ])
  known = { pid: process.pid, host: hostname(), boot: boot.trim(), namespace }
  return known
}
