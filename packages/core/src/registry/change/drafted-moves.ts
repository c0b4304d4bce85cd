import { isDeepStrictEqual } from 'node:util'
import type { GuardMove } from '../../guard/index.js'
import { rampOf } from '../../release/edit.js'
import { type Move, type ReleaseRecord, UNTOUCHED, afterMove, elapsedMsAt, isLegal } from '../../release/lifecycle.js'
import type { RestartShare } from '../../release/restart.js'
import { parseEntity } from '../entities/body.js'
import type { Plugin } from '../entities/entities.js'
import { schemaViolation } from '../entities/violation.js'
import { heldRecord, withGate } from '../records/gate.js'
import { type MadeMove, afterStoredMove, nameOfRun, recordOn, stillStands } from '../records/made-move.js'
import { shareOfPlugin } from '../records/plugin-edit.js'
import { checkRelease, lifeStateOf } from '../records/record-release.js'
import type { Row, RowContent, StoredRecord } from '../records/rows.js'
import type { Tables } from '../records/tables.js'
import type { DraftContext } from './draft-context.js'
import { configOf, withStart } from './record-start.js'

/** Where moves are written. */
export interface MovesDraft {
  readonly tables: Tables
  readonly context: DraftContext
  readonly put: (row: RowContent<'plugins'>) => Row<'plugins'>
  /** Says in words what was done. */
  readonly done: (what: string) => void
}

const MAX_REASON = 1000
const OVER: ReadonlySet<string> = new Set(['rolled-back', 'promoted'])

/** What a change does with the releases of plugins: moves, of people and of guards, and how far a ramp may go. */
export class DraftedMoves {
  readonly #draft: MovesDraft

  constructor(draft: MovesDraft) {
    this.#draft = draft
  }

  /** A person's move; `null` where there is no such plugin. */
  move(plugin: string, move: Move, reason: string | null, share: RestartShare): Row<'plugins'> | null {
    const row = this.#draft.tables.find('plugins', plugin)
    if (row === null) return null
    if (reason !== null && reason.length > MAX_REASON) {
      throw schemaViolation({ reason: `length must be at most ${MAX_REASON}` })
    }
    if (move === 'restart') return this.#restart(row, reason, share, null)
    if (Object.keys(share).length > 0) throw schemaViolation({ '@entity': [`a ${move} cannot change the share`] })
    return this.#setRelease(row, move, this.#after(row, row.entity, move, reason), reason)
  }

  /** Takes what was done with a live release, by the guard or by code; false where it does not stand any more. */
  take(made: MadeMove): boolean {
    const { tables, context } = this.#draft
    const row = tables.get('plugins', made.row.entity.id)
    if (row === null || !stillStands(made, row, context.clock())) return false
    const { move, record, share } = made
    made.runs.push(context.id)
    if (move === 'restart') {
      this.#restart(row, record.reason, share, record)
      return true
    }
    const now = recordOn(row, made, context.clock())
    if (isDeepStrictEqual({ ...row.release, ...now }, row.release)) return false
    this.#setRelease(row, move, now, record.reason, made.breach)
    return true
  }

  /** The move of guards that judge together, for a run; dropped where that is over, or a person was there before. */
  takeInRun(plugin: string, { move, reason, run, breach }: GuardMove): void {
    const row = this.#inRun(plugin, run)
    if (row === null) return
    const state = this.stateOf(row)
    if (OVER.has(state) || !isLegal(this.recordOf(row), move, { state, by: this.#draft.context.by })) return
    this.#setRelease(row, move, this.#after(row, row.entity, move, reason), reason, breach && move === 'pause')
  }

  /** Lets the ramp of a run reach so many buckets; dropped where the run is over, or the ramp stands still. */
  openGate(plugin: string, gate: number, run: string): void {
    const row = this.#inRun(plugin, run)
    if (row === null || this.stateOf(row) !== 'running') return
    const before = row.release?.gate
    if (before !== undefined && before >= gate) return
    const { context, done, put } = this.#draft
    done(`let plugins ${row.entity.id} reach ${gate} of ${row.entity.config.steps} buckets`)
    put({ ...row, release: withGate(row.entity, row.release ?? UNTOUCHED, gate, context.clock()) })
  }

  stateOf(row: Row<'plugins'>) {
    return lifeStateOf(row.entity, this.recordOf(row), this.#draft.context.clock())
  }

  /** What a change of a plugin's release is made on. */
  recordOf(row: Row<'plugins'>): StoredRecord {
    const { recordOf, clock } = this.#draft.context
    return heldRecord(row.entity, recordOf?.(row) ?? row.release ?? UNTOUCHED, clock())
  }

  #inRun(plugin: string, run: string): Row<'plugins'> | null {
    const row = this.#draft.tables.get('plugins', plugin)
    return row === null || nameOfRun(row) !== run ? null : row
  }

  /** @param made the record of a live release that has begun again already */
  #restart(
    row: Row<'plugins'>,
    reason: string | null,
    share: RestartShare,
    made: ReleaseRecord | null,
  ): Row<'plugins'> {
    const { clock } = this.#draft.context
    const now = clock() / 1000
    const config = configOf(share)
    const fields = { ...row.entity, config: { ...row.entity.config, ...config } }
    const stamp = Object.keys(config).length === 0 ? {} : { updated_at: Math.floor(now) }
    const entity = parseEntity('plugins', withStart({ ...fields, ...stamp }, row.entity, now))
    const refused = checkRelease(entity, clock)
    if (refused !== null) throw schemaViolation(refused)
    const record = made ?? this.#after(row, entity, 'restart', reason)
    return this.#setRelease({ ...row, entity }, 'restart', record, reason)
  }

  /** @param entity the plugin as it is after the move */
  #after(row: Row<'plugins'>, entity: Plugin, move: Move, reason: string | null): ReleaseRecord {
    const { by, clock } = this.#draft.context
    const nowMs = clock()
    const record = this.recordOf(row)
    const ramp = rampOf(shareOfPlugin(entity))
    const elapsedMs = ramp === null ? null : elapsedMsAt(record, ramp, nowMs)
    return afterMove(record, move, { state: this.stateOf(row), nowMs, ramp, elapsedMs, reason, by })
  }

  #setRelease(
    row: Row<'plugins'>,
    move: Move,
    record: ReleaseRecord,
    reason: string | null,
    breach = false,
  ): Row<'plugins'> {
    const { context, done, put } = this.#draft
    done(`${move} plugins ${row.entity.id}${reason === null ? '' : `: ${reason}`}`)
    const release = afterStoredMove(row.release ?? UNTOUCHED, record, move, breach, context.id)
    return put({ ...row, release })
  }
}
