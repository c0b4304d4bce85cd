import { randomUUID } from 'node:crypto'
import { constants } from 'node:fs'
import { type FileHandle, lstat, open, readlink, rename, rm, stat } from 'node:fs/promises'
import { dirname, resolve } from 'node:path'
import { setTimeout as after } from 'node:timers/promises'
import { CanaryError } from '../../errors.js'

/** As many links as Linux follows. */
const MAX_LINKS = 40
const RENAME_RETRY_MS = 1_000

export function codeOf(error: unknown): unknown {
  return error instanceof Error && 'code' in error ? error.code : undefined
}

export function unreadable(path: string, error: unknown): CanaryError {
  if (error instanceof CanaryError) return error
  return new CanaryError('ERR_CANARY_STORE', `${path} cannot be read`, { cause: error })
}

/** The error of a file that was not written. */
export function unwritable(path: string, error: unknown): CanaryError {
  const outcome = 'not-written'
  if (error instanceof CanaryError)
    return new CanaryError(error.code, `${path}: ${error.message}`, { cause: error.cause, outcome })
  return new CanaryError('ERR_CANARY_STORE', `${path} cannot be written`, { cause: error, outcome })
}

/**
 * Where a file really is: links are followed, also to where nothing is yet.
 *
 * @throws {CanaryError} ERR_CANARY_STORE where links lead in a circle
 */
export async function targetOf(path: string): Promise<string> {
  let target = path
  for (let links = 0; links <= MAX_LINKS; links += 1) {
    try {
      // oxlint-disable-next-line no-await-in-loop -- each link leads to the next
      target = resolve(dirname(target), await readlink(target))
    } catch (error) {
      // EINVAL, or UNKNOWN on Windows: there is something, and it is no link.
      const code = codeOf(error)
      if (code === 'EINVAL' || code === 'ENOENT' || code === 'UNKNOWN') return target
      throw unreadable(path, error)
    }
  }
  throw new CanaryError('ERR_CANARY_STORE', `${path} is a link that leads in a circle`)
}

/** What changes whenever a file is written or replaced; `null` where there is none. */
export async function signatureOf(path: string): Promise<string | null> {
  try {
    return signatureIn(await stat(path, { bigint: true }))
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return null
    throw unreadable(path, error)
  }
}

function signatureIn({ ino, size, mtimeNs }: { ino: bigint; size: bigint; mtimeNs: bigint }): string {
  return `${ino} ${size} ${mtimeNs}`
}

/** A file's text, and what it looked like when that was read. */
export interface WholeFile {
  readonly text: string
  readonly signature: string
  /** Milliseconds since the epoch, by the clock of the file system. */
  readonly modified: number
}

/**
 * Reads a file; `null` where there is none.
 *
 * @throws {CanaryError} ERR_CANARY_STORE, also for a FIFO, a device or a directory
 */
export async function readWhole(path: string): Promise<WholeFile | null> {
  let file: FileHandle | undefined
  try {
    // Without O_NONBLOCK, opening a FIFO waits for a writer. Windows has neither.
    file = await open(path, constants.O_RDONLY | (constants.O_NONBLOCK ?? 0))
    const found = await file.stat({ bigint: true })
    if (!found.isFile()) throw new CanaryError('ERR_CANARY_STORE', `${path} is ${kindOf(found)}, not a file`)
    return {
      text: await file.readFile('utf8'),
      signature: signatureIn(found),
      modified: Number(found.mtimeMs),
    }
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return null
    if (codeOf(error) === 'ENXIO') {
      throw new CanaryError('ERR_CANARY_STORE', `${path} is a socket or a device, not a file`, { cause: error })
    }
    throw unreadable(path, error)
  } finally {
    await file?.close()
  }
}

function kindOf(found: { isFIFO(): boolean; isDirectory(): boolean }): string {
  if (found.isFIFO()) return 'a FIFO'
  return found.isDirectory() ? 'a directory' : 'a device'
}

/** A name that did not exist, opened for writing. For its owner only. */
export function createNew(path: string): Promise<FileHandle> {
  return open(path, 'wx', 0o600)
}

/**
 * Writes what is to be renamed over `target`: for good, and with the mode of what it replaces.
 *
 * @returns its signature, which it keeps when it is renamed
 * @throws {CanaryError} ERR_CANARY_STORE where no file can stand at `target`
 */
export async function fillDraft(draft: FileHandle, target: string, text: string): Promise<string> {
  await draft.writeFile(text)
  await keepMode(draft, target)
  await draft.sync()
  return signatureIn(await draft.stat({ bigint: true }))
}

async function keepMode(draft: FileHandle, target: string): Promise<void> {
  let known
  try {
    known = await lstat(target)
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return
    throw error
  }
  if (!known.isFile()) throw new CanaryError('ERR_CANARY_STORE', `${target} is ${kindOf(known)}, not a file`)
  const mine = await draft.stat()
  let mode = known.mode & 0o777
  if (mine.uid !== known.uid || mine.gid !== known.gid) {
    try {
      await draft.chown(known.uid, known.gid)
    } catch {
      // What its group might read is not for another group.
      if (mine.gid !== known.gid) mode &= ~0o070
    }
  }
  await draft.chmod(mode)
}

/** Renames a file over another one. A process that has that one open keeps nobody from it, on Windows for an instant only. */
export async function renameOver(
  from: string,
  to: string,
  { platform = process.platform, move = rename }: { platform?: string; move?: typeof rename } = {},
): Promise<void> {
  const until = performance.now() + RENAME_RETRY_MS
  for (;;) {
    /* oxlint-disable no-await-in-loop -- each attempt follows on the one before */
    try {
      return await move(from, to)
    } catch (error) {
      const passes = platform === 'win32' && ['EPERM', 'EBUSY', 'EACCES'].includes(String(codeOf(error)))
      if (!passes || performance.now() > until) throw error
    }
    await after(10 + Math.random() * 40)
    /* oxlint-enable no-await-in-loop */
  }
}

/**
 * Replaces a file. At any instant it is the old one or the new one, and it is the new one for good when this resolves; of
 * several who write it at once, one is the last.
 *
 * @throws {CanaryError} ERR_CANARY_STORE
 */
export async function writeWhole(path: string, text: string): Promise<void> {
  try {
    const target = await targetOf(path)
    const draft = `${target}.${randomUUID()}.tmp`
    try {
      const file = await createNew(draft)
      try {
        await fillDraft(file, target, text)
      } finally {
        await file.close()
      }
      await renameOver(draft, target)
    } finally {
      await rm(draft, { force: true })
    }
    await syncDirectory(dirname(target))
  } catch (error) {
    throw unwritable(path, error)
  }
}

export async function syncDirectory(path: string): Promise<void> {
  // Windows cannot open a directory; a rename is durable there without it.
  if (process.platform === 'win32') return
  const directory = await open(path, 'r')
  try {
    await directory.sync()
  } finally {
    await directory.close()
  }
}
