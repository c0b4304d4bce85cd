import { type FSWatcher, realpathSync, unwatchFile, watch, watchFile } from 'node:fs'
import { basename, dirname } from 'node:path'

const POLL_MS = 2_000

/**
 * Tells that a file may have changed. Its directory is watched, as a file that is replaced has another inode, and that of
 * the file that a link leads to; and the file is looked at every two seconds, as not every file system tells (NFS does not).
 * Keeps no process alive.
 */
export class FileWatch {
  readonly #path: string
  readonly #changed: () => void
  readonly #watchers: readonly FSWatcher[]

  constructor(path: string, changed: () => void) {
    this.#path = path
    this.#changed = changed
    this.#watchers = [...new Set([path, realOf(path)])].flatMap((each) => watchDirectory(each, changed))
    watchFile(path, { interval: POLL_MS, persistent: false }, changed)
  }

  close(): void {
    for (const watcher of this.#watchers) watcher.close()
    unwatchFile(this.#path, this.#changed)
  }
}

function realOf(path: string): string {
  try {
    return realpathSync(path)
  } catch {
    return path
  }
}

function watchDirectory(path: string, changed: () => void): FSWatcher[] {
  const name = basename(path)
  try {
    const watcher = watch(dirname(path), { persistent: false }, (_event, file) => {
      if (file === null || file === name) changed()
    })
    watcher.on('error', () => watcher.close())
    return [watcher]
  } catch {
    // No more watches are to be had, or the file system has none: the poll remains.
    return []
  }
}
