import { randomBytes, randomUUID } from 'node:crypto'
import { isDeepStrictEqual } from 'node:util'
import { recordOfNew } from '../../release/edit.js'
import { type Move, UNTOUCHED } from '../../release/lifecycle.js'
import type { RestartShare } from '../../release/restart.js'
import { CanaryError } from '../../errors.js'
import { type Body, isBody, parseEntity } from '../entities/body.js'
import { normalise } from '../entities/kong-names.js'
import type { DeclaredRecords } from './declared.js'
import type { Draft, Parent } from './draft.js'
import type { DraftContext } from './draft-context.js'
import type { EntityKind, EntityOf, Plugin } from '../entities/entities.js'
import { isUuid } from '../entities/fields.js'
import { finalFields, locationRow } from './finalize.js'
import { NAMES_OF, fieldOf } from '../entities/keys.js'
import { editedPlugin, shareOfPlugin, stillRolledBack } from '../records/plugin-edit.js'
import { hasMoved, pluginsAt } from '../records/place-of-a.js'
import { checkRelease } from '../records/record-release.js'
import { DraftedMoves } from './drafted-moves.js'
import { gateAfterEdit } from '../records/gate.js'
import { saysStart, withStart } from './record-start.js'
import { resolveReferences } from './references.js'
import { rowKey, writtenKeys } from '../records/conflict-keys.js'
import { type Row, type RowChange, type RowContent, type StoredRecord, isOf } from '../records/rows.js'
import type { Proposal } from '../records/store.js'
import { type TableChange, Tables } from '../records/tables.js'
import type { SyncReport } from './sync-report.js'
import { synchronize } from './synchronize.js'
import { schemaViolation, stillReferenced, uniqueViolation } from '../entities/violation.js'

export interface DraftedResult extends Pick<Proposal, 'changes' | 'reads' | 'writes'> {
  readonly what: readonly string[]
}

const CASCADING: ReadonlySet<EntityKind> = new Set(['plugins', 'keyauth_credentials', 'acls'])

/** A change being made: rows over those of the registry, each checked as it is written. */
export class DraftedChange implements Draft {
  readonly #under: Tables
  readonly #tables: Tables
  readonly #context: DraftContext
  readonly #done: string[] = []
  /** The rows that it has made, whose revision is the version of the commit. */
  readonly #made: { revision: number }[] = []

  /** What is done with the releases of plugins. */
  readonly releases: DraftedMoves

  /** Rows that send requests elsewhere now. */
  readonly #moved: Row[] = []

  constructor(under: Tables, context: DraftContext) {
    this.#under = under
    this.#tables = new Tables(under)
    this.#context = context
    const done = (what: string): void => void this.#done.push(what)
    this.releases = new DraftedMoves({ tables: this.#tables, context, put: (row) => this.#put(row), done })
  }

  /** What was written, and in words; and what it depends on, as a store compares it. */
  result(): DraftedResult {
    this.#beginRuns()
    const changes = this.#tables.changes()
    const before = ({ kind, id }: RowChange) => this.#under.get(kind, id)
    const reads = new Set([...this.#tables.reads, ...changes.map(({ kind, id }) => rowKey(kind, id))])
    const writes = new Set(changes.flatMap((change) => writtenKeys(change.kind, change.id, before(change), change.row)))
    return { changes: changes.map(withoutRevision), reads: [...reads], writes: [...writes], what: this.#done }
  }

  /** Says which version it has become. */
  stored(version: number): void {
    for (const row of this.#made) row.revision = version
  }

  get<Kind extends EntityKind>(kind: Kind, key: string): Row<Kind> | null {
    return this.#tables.find(kind, key)
  }

  create<Kind extends EntityKind>(kind: Kind, body: unknown, parent?: Parent): Row<Kind> {
    const fields = normalise(kind, body)
    const id = typeof fields.id === 'string' && isUuid(fields.id) ? fields.id.toLowerCase() : null
    if (id !== null && this.#tables.get(kind, id) !== null) throw uniqueViolation({ id })
    const whole = { ...fields, ...madeUp(kind, fields), id: fields.id ?? randomUUID() }
    return this.#write('create', kind, whole, parent, null)
  }

  patch<Kind extends EntityKind>(kind: Kind, key: string, body: unknown, parent?: Parent): Row<Kind> | null {
    const row = this.#tables.find(kind, key)
    if (row === null || !this.#belongs(row, parent)) return null
    const said = normalise(kind, body)
    const { entity } = row
    const config = 'config' in entity && isBody(said.config) ? { config: { ...entity.config, ...said.config } } : {}
    const stored: object = entity
    const fields = { ...stored, ...said, ...config, id: entity.id }
    return this.#write('update', kind, fields, undefined, row)
  }

  replace<Kind extends EntityKind>(kind: Kind, key: string, body: unknown, parent?: Parent): Row<Kind> {
    const said = normalise(kind, body)
    const row = this.#tables.find(kind, key)
    const [name] = NAMES_OF[kind]
    const named = isUuid(key) || name === undefined ? {} : { [name]: key }
    const id = row?.entity.id ?? (isUuid(key) ? key.toLowerCase() : (said.id ?? randomUUID()))
    // What is there keeps the name it was found by, unless the body renames it.
    const fields = row === null ? { ...said, ...named, id } : { ...(foundBy(row, name, key) ? named : {}), ...said, id }
    return this.#write(row === null ? 'create' : 'replace', kind, withKey(fields, row), parent, row)
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

  sync(declarative: DeclaredRecords): SyncReport {
    const before = this.#done.length
    const report = synchronize(this.#tables, declarative, (kind, body, present) => {
      const said = normalise(kind, body)
      const fields = present === null ? { ...said, ...madeUp(kind, said) } : withKey(said, present)
      return this.#write(present === null ? 'create' : 'replace', kind, fields, undefined, present)
    })
    const { created, updated, deleted } = report
    this.#done.splice(before)
    if (created.length + updated.length + deleted.length > 0) {
      this.#done.push(`sync: ${created.length} created, ${updated.length} updated, ${deleted.length} deleted`)
    }
    return report
  }

  move(plugin: string, move: Move, reason: string | null = null, share: RestartShare = {}): Row<'plugins'> | null {
    return this.releases.move(plugin, move, reason, share)
  }

  /** Stores what became of a plugin that was edited by hand. */
  keep({ entity, release }: Row<'plugins'>): void {
    const row = this.#tables.get('plugins', entity.id)
    if (row === null || release === null || !isDeepStrictEqual(row.entity, entity)) return
    this.#done.push(`update plugins ${entity.id}: edited by hand`)
    this.#put({ ...row, release })
  }

  finalize(plugin: string): Row<'services'> | Row<'apis'> | null {
    const row = this.#tables.find('plugins', plugin)
    if (row === null) return null
    const location = locationRow(this.#tables, row.entity)
    if (this.releases.stateOf(row) === 'rolled-back') {
      throw new CanaryError('ERR_CANARY_STATE', 'cannot finalize a release that is rolled-back: all is on A')
    }
    const fields = { ...location.entity, ...finalFields(location, row.entity) }
    this.#done.push(`finalize plugins ${row.entity.id}`)
    this.remove('plugins', row.entity.id)
    return isOf(location, 'services')
      ? this.#write('update', 'services', fields, undefined, location)
      : this.#write('update', 'apis', fields, undefined, location)
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
    // What is written back as it was read changes nothing, not even its revision.
    if (present !== null && isSame(present.entity, entity)) return present
    const release = isPlugin(kind, entity) ? this.#releaseOf(entity, plugin, saysStart(fields)) : null
    const row = { kind, entity, release }
    const note = stillRolledBack(present, row)
    this.#done.push(`${what} ${kind} ${entity.id}${note === null ? '' : `: ${note}`}`)
    const written = this.#put(row)
    if (present !== null && hasMoved(present, written)) this.#moved.push(written)
    return written
  }

  /** Its release's record, once the release was seen to be one. */
  #releaseOf(entity: Plugin, present: Row<'plugins'> | null, says: boolean): StoredRecord {
    const { clock, id } = this.#context
    const refused = checkRelease(entity, clock)
    if (refused !== null) throw schemaViolation(refused)
    if (present === null) return { ...recordOfNew(shareOfPlugin(entity), clock()), run: id }
    const before = this.releases.recordOf(present)
    const { record, newRun } = editedPlugin(before, present.entity, entity, says, clock())
    if (newRun) return { ...record, run: id }
    const gate = before.gate === undefined ? {} : { gate: gateAfterEdit(before.gate, present.entity, entity) }
    return { ...before, ...record, ...gate }
  }

  /** Where A is another place now, what was judged of the releases there is over. */
  #beginRuns(): void {
    const { id } = this.#context
    for (const row of this.#moved.splice(0).flatMap((moved) => pluginsAt(this.#tables, moved))) {
      if (row.release?.run !== id) this.#put({ ...row, release: { ...(row.release ?? UNTOUCHED), run: id } })
    }
  }

  #put<Kind extends EntityKind>({ kind, entity, release }: RowContent<Kind>): Row<Kind> {
    const row: Row<Kind> & { revision: number } = { kind, entity, release, revision: this.#context.version }
    this.#tables.put(row)
    this.#made.push(row)
    return row
  }
}

function withoutRevision({ kind, id, row }: TableChange): RowChange {
  return { kind, id, row: row === null ? null : { kind: row.kind, entity: row.entity, release: row.release } }
}

/** What a new record gets if its body does not say it. */
function madeUp(kind: EntityKind, { key }: Body): Body {
  return kind === 'keyauth_credentials' ? { key: key ?? randomBytes(24).toString('base64url') } : {}
}

function foundBy({ entity }: Row, name: string | undefined, key: string): boolean {
  return name !== undefined && Reflect.get(entity, name) === key
}

/** A credential is not shown again, so who writes it back does not say its key. */
function withKey(fields: Body, present: Row | null): Body {
  if (present === null || !isOf(present, 'keyauth_credentials') || (fields.key ?? null) !== null) return fields
  return { ...fields, key: present.entity.key }
}

function isSame(before: object, after: object): boolean {
  return isDeepStrictEqual({ ...before, updated_at: 0 }, { ...after, updated_at: 0 })
}

function isPlugin(kind: EntityKind, entity: EntityOf<EntityKind>): entity is Plugin {
  return kind === 'plugins' && 'config' in entity
}
