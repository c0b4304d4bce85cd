import { z } from 'zod'
import { type Body, isBody } from '../entities/body.js'
import { ENTITY_KINDS } from '../entities/entities.js'
import type { RowChange } from '../records/rows.js'
import type { AuditEntry, Commit, Position } from '../records/store.js'
import { readRow } from './state-row.js'

/** How many commits a file keeps for processes that stand on an older version, and how long their text may be. */
const KEPT = 100
const KEPT_BYTES = 256 * 1024

const logSchema = z.array(
  z.strictObject({
    version: z.int().min(1),
    id: z.string(),
    prev: z.string(),
    writes: z.array(z.string()),
    changes: z.array(
      z.strictObject({
        kind: z.enum(ENTITY_KINDS),
        id: z.string(),
        row: z.custom<Body>(isBody).nullable(),
      }),
    ),
  }),
)

/** The last commits as lines of a file, the oldest first. What they say in the audit trail stands there. */
export function logLines(log: readonly Commit[]): string[] {
  const lines: string[] = []
  let bytes = 0
  for (const { version, id, prev, writes, changes } of log.slice(-KEPT).toReversed()) {
    const shown = changes.map(({ kind, id: of, row }) => ({
      kind,
      id: of,
      row: row === null ? null : { ...row.entity, ...(row.release === null ? {} : { release: row.release }) },
    }))
    const line = JSON.stringify({ version, id, prev, writes, changes: shown })
    bytes += line.length
    if (bytes > KEPT_BYTES) break
    lines.push(line)
  }
  return lines.toReversed()
}

/** The commits that lead up to a position, as a file has them; fewer where they do not follow on each other. */
export function readLog(lines: unknown, audit: readonly AuditEntry[], at: Position): readonly Commit[] {
  const read = logSchema.safeParse(lines)
  if (!read.success) return []
  const entries = new Map(audit.map((entry) => [entry.version, entry]))
  const commits: Commit[] = []
  let next = { version: at.version, id: at.id }
  for (const { version, id, prev, writes, changes } of read.data.toReversed()) {
    const entry = entries.get(version)
    if (version !== next.version || id !== next.id || entry?.id !== id) break
    try {
      commits.push({ id, prev, version, writes, changes: changes.map((change) => readChange(change, version)), audit: entry }) // prettier-ignore
    } catch {
      break
    }
    next = { version: version - 1, id: prev }
  }
  return commits.toReversed()
}

function readChange(
  { kind, id, row }: z.output<typeof logSchema>[number]['changes'][number],
  version: number,
): RowChange {
  if (row === null) return { kind, id, row: null }
  const { entity, release } = readRow(kind, row, version)
  return { kind, id, row: { kind, entity, release } }
}
