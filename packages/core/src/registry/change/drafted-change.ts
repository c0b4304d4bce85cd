import { randomBytes, randomUUID } from 'node:crypto'
import { type Move, type ReleaseRecord, UNTOUCHED, afterMove, moveBetween, restarted } from '../../release/lifecycle.js'
import { CanaryError } from '../../errors.js'
import { type Body, isBody, normalise, parseEntity } from '../entities/body.js'
import type { Draft, Parent } from './draft.js'
import type { EntityKind, EntityOf, Plugin } from '../entities/entities.js'
import { isUuid } from '../entities/fields.js'
import { finalFields, locationRow } from './finalize.js'
import { NAMES_OF, fieldOf } from '../entities/keys.js'
import { isNewer } from '../live/live-release.js'
import { checkRelease, trialRelease } from '../records/record-release.js'
import { restarts, withStart } from './record-start.js'
import { resolveReferences } from './references.js'
import { type Row, type RowChange, isOf } from '../records/store.js'
import { Tables } from '../records/tables.js'
import { schemaViolation, stillReferenced, uniqueViolation } from '../entities/violation.js'

export interface DraftContext {
  readonly by: string
  /** The version that the change makes. */
  readonly version: number
  /** Milliseconds since the epoch. */
  readonly clock: () => number
}

const MAX_REASON = 1000
const CASCADING: ReadonlySet<EntityKind> = new Set(['plugins', 'keyauth_credentials', 'acls'])

/** A change being made: rows over those of the registry, each checked as it is written. */
export class DraftedChange implements Draft {
  readonly #tables: Tables
  readonly #context: DraftContext
  readonly #done: string[] = []

  constructor(under: Tables, context: DraftContext) {
    this.#tables = new Tables(under)
    this.#context = context
  }

  /** What was written, and in words. */
  result(): { readonly changes: readonly RowChange[]; readonly what: readonly string[] } {
    return { changes: this.#tables.changes(), what: this.#done }
  }

  get<Kind extends EntityKind>(kind: Kind, key: string): Row<Kind> | null {
    return this.#tables.find(kind, key)
  }

  create<Kind extends EntityKind>(kind: Kind, body: unknown, parent?: Parent): Row<Kind> {
    const fields = normalise(kind, body)
    const id = typeof fields.id === 'string' && isUuid(fields.id) ? fields.id.toLowerCase() : null
    if (id !== null && this.#tables.get(kind, id) !== null) throw uniqueViolation({ id })
    const made = kind === 'keyauth_credentials' ? { key: fields.key ?? randomBytes(24).toString('base64url') } : {}
    return this.#write('create', kind, { ...fields, ...made, id: fields.id ?? randomUUID() }, parent, null, true)
  }

  patch<Kind extends EntityKind>(kind: Kind, key: string, body: unknown, parent?: Parent): Row<Kind> | null {
    const row = this.#tables.find(kind, key)
    if (row === null || !this.#belongs(row, parent)) return null
    const said = normalise(kind, body)
    const { entity } = row
    const config = 'config' in entity && isBody(said.config) ? { config: { ...entity.config, ...said.config } } : {}
    const fields = { ...entity, ...said, ...config, id: entity.id }
    return this.#write('update', kind, fields, undefined, row, restarts(said))
  }

  replace<Kind extends EntityKind>(kind: Kind, key: string, body: unknown, parent?: Parent): Row<Kind> {
    const said = normalise(kind, body)
    const row = this.#tables.find(kind, key)
    const [name] = NAMES_OF[kind]
    const named = isUuid(key) || name === undefined ? {} : { [name]: key }
    const id = row?.entity.id ?? (isUuid(key) ? key.toLowerCase() : (said.id ?? randomUUID()))
    // What is there keeps the name it was found by, unless the body renames it.
    const fields = row === null ? { ...said, ...named, id } : { ...(foundBy(row, name, key) ? named : {}), ...said, id }
    return this.#write(row === null ? 'create' : 'replace', kind, fields, parent, row, restarts(said))
  }

  remove<Kind extends EntityKind>(kind: Kind, key: string): Row<Kind> | null {
    const row = this.#tables.find(kind, key)
    if (row === null) return null
    const { id } = row.entity
    const referrers = this.#tables.referrers(kind, id)
    const holding = referrers.find((referrer) => !CASCADING.has(referrer.kind))
    if (holding !== undefined) throw stillReferenced(kind, holding.kind)
    for (const referrer of referrers) this.#tables.remove(referrer.kind, referrer.entity.id)
    this.#tables.remove(kind, id)
    this.#done.push(`delete ${kind} ${id}`)
    return row
  }

  move(plugin: string, move: Move, reason: string | null = null): Row<'plugins'> | null {
    const row = this.#tables.find('plugins', plugin)
    if (row === null) return null
    if (reason !== null && reason.length > MAX_REASON) {
      throw schemaViolation({ reason: `length must be at most ${MAX_REASON}` })
    }
    const { by, clock } = this.#context
    const { config } = row.entity
    const record = afterMove(row.release ?? UNTOUCHED, move, {
      state: this.#stateOf(row),
      now: clock() / 1000,
      start: config.percentage === null ? config.start : null,
      reason,
      by,
    })
    return this.#setRelease(row, move, record)
  }

  /** Takes what was done with a live release, by the guard or by code, unless a later move is stored. */
  takeMove(plugin: string, record: ReleaseRecord): void {
    const row = this.#tables.get('plugins', plugin)
    if (row === null || isNewer(row.release, record)) return
    const move = moveBetween(row.release ?? UNTOUCHED, record)
    this.#setRelease(row, move, record)
  }

  #setRelease(row: Row<'plugins'>, move: Move | 'update', release: ReleaseRecord): Row<'plugins'> {
    const why = release.reason === null ? '' : `: ${release.reason}`
    this.#done.push(`${move} plugins ${row.entity.id}${why}`)
    return this.#put({ ...row, release, revision: this.#context.version })
  }

  finalize(plugin: string): Row<'services'> | Row<'apis'> | null {
    const row = this.#tables.find('plugins', plugin)
    if (row === null) return null
    const location = locationRow(this.#tables, row.entity)
    if (this.#stateOf(row) === 'rolled-back') {
      throw new CanaryError('ERR_CANARY_STATE', 'cannot finalize a release that is rolled-back: all is on A')
    }
    const fields = { ...location.entity, ...finalFields(location, row.entity) }
    this.#done.push(`finalize plugins ${row.entity.id}`)
    this.remove('plugins', row.entity.id)
    return isOf(location, 'services')
      ? this.#write('update', 'services', fields, undefined, location, false)
      : this.#write('update', 'apis', fields, undefined, location, false)
  }

  #stateOf({ entity, release }: Row<'plugins'>) {
    const trial = trialRelease(entity, release, this.#context.clock)
    const { state } = trial.status()
    trial.close()
    return state
  }

  #belongs(row: Row, parent: Parent | undefined): boolean {
    if (parent === undefined) return true
    const owner = this.#tables.find(parent.kind, parent.key)
    const ref: unknown = Reflect.get(row.entity, fieldOf(parent.kind))
    return owner !== null && isBody(ref) && ref.id === owner.entity.id
  }

  #write<Kind extends EntityKind>(
    what: 'create' | 'update' | 'replace',
    kind: Kind,
    said: Body,
    parent: Parent | undefined,
    present: Row<Kind> | null,
    restart: boolean,
  ): Row<Kind> {
    const now = this.#context.clock() / 1000
    const { fields, dangling } = resolveReferences(this.#tables, kind, said, parent)
    const plugin = present !== null && isOf(present, 'plugins') ? present : null
    const stamps = {
      created_at: present?.entity.created_at ?? fields.created_at ?? Math.floor(now),
      updated_at: Math.floor(now),
    }
    const whole = { ...fields, ...stamps }
    const entity = parseEntity(kind, kind === 'plugins' ? withStart(whole, plugin?.entity ?? null, now) : whole)
    if (dangling !== null) throw dangling
    const release = isPlugin(kind, entity) ? this.#releaseOf(entity, plugin, restart, now) : null
    this.#done.push(`${what} ${kind} ${entity.id}`)
    return this.#put({ kind, entity, revision: this.#context.version, release })
  }

  /** Its release's record, once the release was seen to be one. */
  #releaseOf(entity: Plugin, present: Row<'plugins'> | null, restart: boolean, now: number): ReleaseRecord {
    const refused = checkRelease(entity, this.#context.clock)
    if (refused !== null) throw schemaViolation(refused)
    const record = present?.release ?? UNTOUCHED
    const { percentage, start } = entity.config
    return restart ? restarted(record, percentage === null ? start : null, now) : record
  }

  #put<Kind extends EntityKind>(row: Row<Kind>): Row<Kind> {
    this.#tables.put(row)
    return row
  }
}

function foundBy({ entity }: Row, name: string | undefined, key: string): boolean {
  return name !== undefined && Reflect.get(entity, name) === key
}

function isPlugin(kind: EntityKind, entity: EntityOf<EntityKind>): entity is Plugin {
  return kind === 'plugins' && 'config' in entity
}
