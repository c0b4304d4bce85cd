import { type FSWatcher, unwatchFile, watch, watchFile } from 'node:fs'
import { basename, dirname } from 'node:path'

const POLL_MS = 1_000

/**
 * Tells that a file may have changed. The directory is watched, as a file that is replaced has another inode; and the
 * file is looked at every second, as not every file system tells. Keeps no process alive.
 */
export class FileWatch {
  readonly #path: string
  readonly #changed: () => void
  readonly #watcher: FSWatcher | null

  constructor(path: string, changed: () => void) {
    this.#path = path
    this.#changed = changed
    this.#watcher = watchDirectory(path, changed)
    watchFile(path, { interval: POLL_MS, persistent: false }, changed)
  }

  close(): void {
    this.#watcher?.close()
    unwatchFile(this.#path, this.#changed)
  }
}

function watchDirectory(path: string, changed: () => void): FSWatcher | null {
  const name = basename(path)
  try {
    const watcher = watch(dirname(path), { persistent: false }, (_event, file) => {
      if (file === null || file === name) changed()
    })
    watcher.on('error', () => watcher.close())
    return watcher
  } catch {
    // No more watches are to be had, or the file system has none: the poll remains.
    return null
  }
}
