import { mkdir, readFile, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { CanaryError } from '../../errors.js'
import { asUnfinished } from '../../guard/index.js'
import type { SavedRuns } from '../records/store.js'
import { codeOf, unreadable, unwritable, writeWhole } from './whole-file.js'

/**
 * The runs of a process's guards beside a file store: `canary.json.runs/<plugin>`. What is written there is nobody's
 * record: a run that cannot be read begins anew.
 */
export class RunFiles implements SavedRuns {
  readonly #folder: string

  /** @param path of the store's file */
  constructor(path: string) {
    this.#folder = `${path}.runs`
  }

  /**
   * The run of a plugin as it was saved last; `null`: none was. From now on it is unfinished: a process that dies before
   * it saves the run again must not leave behind what others would take for the whole of it.
   *
   * @throws {CanaryError} ERR_CANARY_STORE where it cannot be read
   */
  async take(plugin: string): Promise<string | null> {
    const path = this.#pathOf(plugin)
    let text: string
    try {
      text = await readFile(path, 'utf8')
    } catch (error) {
      if (codeOf(error) === 'ENOENT') return null
      throw unreadable(path, error)
    }
    let unfinished: string
    try {
      unfinished = asUnfinished(text)
    } catch (error) {
      throw unreadable(path, error)
    }
    try {
      await writeWhole(path, unfinished)
      return text
    } catch {
      // A disk that takes no more: then nobody may take it for the whole run, this process included.
      return unfinished
    }
  }

  /** @throws {CanaryError} ERR_CANARY_STORE */
  async save(plugin: string, text: string): Promise<void> {
    const path = this.#pathOf(plugin)
    try {
      await mkdir(this.#folder, { recursive: true, mode: 0o700 })
    } catch (error) {
      throw unwritable(path, error)
    }
    await writeWhole(path, text)
  }

  /** @throws {CanaryError} ERR_CANARY_STORE */
  async remove(plugin: string): Promise<void> {
    const path = this.#pathOf(plugin)
    try {
      await rm(path, { force: true })
    } catch (error) {
      throw unwritable(path, error)
    }
  }

  #pathOf(plugin: string): string {
    // Ids are UUIDs; anything else could lead out of the folder.
    if (!/^[\da-f-]{36}$/i.test(plugin)) {
      throw new CanaryError('ERR_CANARY_STORE', 'a run must be of a plugin whose id is a UUID')
    }
    return join(this.#folder, plugin.toLowerCase())
  }
}
