import { isDeepStrictEqual } from 'node:util'
import { editedPlugin } from '../records/plugin-edit.js'
import { type Row, type RowChange, type StoredRecord, isOf } from '../records/rows.js'
import type { StoredState } from '../records/store.js'
import type { Tables } from '../records/tables.js'

interface Edit {
  /** As it came from the store. */
  readonly stored: Row<'plugins'>
  /** With what became of its release. */
  readonly row: Row<'plugins'>
}

/**
 * Plugins that were edited in the store itself, by hand: there, nobody has worked out what becomes of their releases.
 * Here an edit counts from when it is read, and holds until the store has it too.
 */
export class HandEdits {
  readonly #edits = new Map<string, Edit>()

  /** What is not stored yet. */
  get pending(): readonly Row<'plugins'>[] {
    return [...this.#edits.values()].map(({ row }) => row)
  }

  /** A whole state as it is to be in force, over what is in force now. */
  read(
    state: StoredState,
    tables: Tables,
    recordOf: (row: Row<'plugins'>) => StoredRecord,
    nowMs: number,
  ): StoredState {
    const rows = state.rows.map((row) => {
      const before = isOf(row, 'plugins') ? tables.get('plugins', row.entity.id) : null
      if (before === null || !isOf(row, 'plugins')) return row
      const edit = this.#edit(row, before, recordOf(before), state.at.id, nowMs)
      if (edit === null) this.#edits.delete(row.entity.id)
      else this.#edits.set(row.entity.id, edit)
      return edit?.row ?? row
    })
    return { ...state, rows }
  }

  /** The store has these now. */
  stored(changes: readonly RowChange[]): void {
    for (const { id } of changes) this.#edits.delete(id)
  }

  #edit(stored: Row<'plugins'>, before: Row<'plugins'>, record: StoredRecord, id: string, nowMs: number): Edit | null {
    const { entity, revision } = stored
    const known = this.#edits.get(entity.id)
    const isKnown = known !== undefined && isDeepStrictEqual(known.stored.release, stored.release)
    if (isKnown && isDeepStrictEqual(known.stored.entity, entity)) return { stored, row: { ...known.row, revision } }
    // Whoever changes a plugin through a registry writes down what becomes of its release.
    if (!isKnown && !isDeepStrictEqual(before.release, stored.release)) return null
    const { record: after, newRun } = editedPlugin(record, before.entity, entity, true, nowMs)
    if (!isKnown && !newRun && after === record) return null
    const release = newRun ? { ...after, run: id } : { ...record, ...after }
    return { stored, row: { ...stored, release } }
  }
}
