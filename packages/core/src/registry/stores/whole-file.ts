import { open, readFile, realpath, rename, rm, stat } from 'node:fs/promises'
import { dirname } from 'node:path'
import { CanaryError } from '../../errors.js'

export function codeOf(error: unknown): unknown {
  return error instanceof Error && 'code' in error ? error.code : undefined
}

export function unreadable(path: string, error: unknown): CanaryError {
  return new CanaryError('ERR_CANARY_STORE', `${path} cannot be read`, { cause: error })
}

/** The error of a file that was not written. */
export function unwritable(path: string, error: unknown): CanaryError {
  const outcome = 'not-written'
  if (error instanceof CanaryError)
    return new CanaryError(error.code, `${path}: ${error.message}`, { cause: error.cause, outcome })
  return new CanaryError('ERR_CANARY_STORE', `${path} cannot be written`, { cause: error, outcome })
}

/** What changes whenever a file is written or replaced; `null` where there is none. */
export async function signatureOf(path: string): Promise<string | null> {
  try {
    const { ino, size, mtimeNs } = await stat(path, { bigint: true })
    return `${ino} ${size} ${mtimeNs}`
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return null
    throw unreadable(path, error)
  }
}

/** @throws {CanaryError} ERR_CANARY_STORE */
export async function readWhole(path: string): Promise<string> {
  try {
    return await readFile(path, 'utf8')
  } catch (error) {
    throw unreadable(path, error)
  }
}

/**
 * Replaces a file: at any instant it is the old one or the new one, and it is the new one for good when this resolves.
 *
 * @returns its signature
 * @throws {CanaryError} ERR_CANARY_STORE
 */
export async function writeWhole(path: string, text: string): Promise<string> {
  try {
    // The file may be a link to where it really is, which must stay one.
    const target = await realpath(path).catch(() => path)
    const temporary = `${target}.tmp`
    await rm(temporary, { force: true })
    const file = await open(temporary, 'wx', 0o600)
    try {
      await file.writeFile(text)
      await file.sync()
    } finally {
      await file.close()
    }
    await rename(temporary, target)
    await syncDirectory(dirname(target))
    return (await signatureOf(path)) ?? ''
  } catch (error) {
    throw unwritable(path, error)
  }
}

async function syncDirectory(path: string): Promise<void> {
  // Windows cannot open a directory; a rename is durable there without it.
  if (process.platform === 'win32') return
  const directory = await open(path, 'r')
  try {
    await directory.sync()
  } finally {
    await directory.close()
  }
}
