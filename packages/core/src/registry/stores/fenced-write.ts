import { rm } from 'node:fs/promises'
import { dirname } from 'node:path'
import { CanaryError } from '../../errors.js'
import type { FileLock } from './file-lock.js'
import { codeOf, createNew, fillDraft, renameOver, signatureOf, syncDirectory } from './whole-file.js'

/**
 * Puts a text in a file's place, if the lock is still held and the file still looks as it was read.
 *
 * @param expected the signature of what it replaces; `null`: there is no file
 * @param commit what it is to be, for the error where that is unknown
 * @returns its signature; `null` where it was not written: look anew
 * @throws {CanaryError} ERR_CANARY_STORE with `outcome: 'unknown'` where it was written, and perhaps not for good
 */
export async function replaceFenced(
  lock: FileLock,
  target: string,
  { text, expected, commit }: { readonly text: string; readonly expected: string | null; readonly commit: string },
): Promise<string | null> {
  const draft = await createNew(lock.draft)
  let signature: string
  try {
    // Whoever takes the lock from now on removes the draft before reading the file.
    if (!(await lock.isHeld())) return null
    signature = await fillDraft(draft, target, text)
    await draft.close()
    if ((await signatureOf(target)) !== expected) return null
    await renameOver(lock.draft, target)
  } catch (error) {
    // The lock was taken away, and the draft with it.
    if (codeOf(error) === 'ENOENT') return null
    throw error
  } finally {
    await draft.close().catch(() => undefined)
    await rm(lock.draft, { force: true })
  }
  try {
    await syncDirectory(dirname(target))
  } catch (cause) {
    const message = `${target} was written, and perhaps not for good`
    throw new CanaryError('ERR_CANARY_STORE', message, { cause, outcome: 'unknown', commit })
  }
  return signature
}
