import { randomUUID } from 'node:crypto'
import type { Commit, Proposal, SaveResult } from '@canary-release/core/registry'
import { DataFault, storeError } from './faults.js'
import { type Keys, keyList } from './keys.js'
import { DEADLINE_MS, type Link, type Reply } from './link.js'
import { SAVE } from './scripts.js'
import { type LogReader, NONSENSE, lines, listFrom, readPosition, rowText } from './wire.js'

/** Above this, the log says only that all must be loaded anew. In characters. */
const LOGGED = 256 * 1024
/** How fast a large one surely goes. */
const CHARACTERS_A_MS = 5_000
/** How long is waited for replicas: the answer must be back before the connection is given up. In milliseconds. */
const REPLICAS_MS = DEADLINE_MS - 100

/** A proposal as the script takes it, made once for all attempts. */
export interface Prepared {
  readonly id: string
  /** Commits after its base that this process has read already: the server need not send them. */
  readonly known: readonly Commit[]
  readonly args: readonly string[]
  /** How long the server may take: a large one is on its way for longer. In milliseconds. */
  readonly within: number
}

export function prepared(proposal: Proposal, log: LogReader, replicas: number): Prepared {
  const { id, base, reads, writes, changes, audit } = proposal
  const known = base.epoch === '' ? [] : log.after(base)
  const last = known.at(-1)
  const [readLines, writeLines, auditText] = [lines(reads), lines(writes), JSON.stringify(audit)]
  const rows = changes.flatMap((change) => [
    `${change.kind}/${change.id}`,
    change.row === null ? '' : rowText(change.row),
  ])
  const size = rows.reduce((sum, text) => sum + text.length, writeLines.length + auditText.length)
  const logged = size > LOGGED ? '' : JSON.stringify(changes)
  const position = [base.epoch, base.epoch === '' ? '0' : String(base.version), base.id]
  const flags = [logged === '' ? '1' : '0', replicas > 0 ? '1' : '0']
  const read = [String(last?.version ?? 0), last?.id ?? '']
  const args = [randomUUID(), id, ...position, readLines, writeLines, logged, auditText, ...flags, ...read, ...rows]
  return { id, known, args, within: DEADLINE_MS + size / CHARACTERS_A_MS }
}

/**
 * One attempt to commit.
 *
 * @throws {CanaryError} ERR_CANARY_STORE with outcome `unknown`, where it was committed and not enough replicas have it
 */
export async function attemptSave(
  link: Link,
  keys: Keys,
  log: LogReader,
  { args, id, known, within }: Prepared,
  replicas: number,
): Promise<SaveResult> {
  const result = readResult(await link.run(SAVE, keyList(keys), args, within), known, log)
  if (replicas === 0 || result.kind !== 'saved') return result
  const received = await link.send(['WAIT', String(replicas), String(REPLICAS_MS)])
  if (Number(received) >= replicas) return result
  throw storeError('the change is in force, and a failover would lose it: too few replicas received it in time', {
    cause: new Error(`${String(received)} of ${replicas} replicas have the commit ${id}`),
    outcome: 'unknown',
  })
}

function readResult(reply: Reply, known: readonly Commit[], log: LogReader): SaveResult {
  const [kind, ...rest] = listFrom(reply)
  switch (kind) {
    case 'saved': {
      const at = readPosition(rest)
      const missed = commitsOf(listFrom(rest[3]), Number(rest[4]) === 1 ? known : [], log) ?? []
      return { kind, at, missed: missed.filter(({ version }) => version < at.version) }
    }
    case 'conflict': {
      const [missed, isAfterKnown] = rest
      return {
        kind,
        missed: missed === null ? null : commitsOf(listFrom(missed), isAfterKnown === 1 ? known : [], log),
      }
    }
    case 'rewound':
      return { kind, stored: readPosition(rest) }
    default:
      throw new DataFault(NONSENSE, { cause: new Error(String(kind)) })
  }
}

/** `null` where one of them is not logged whole, or cannot be read: who needs it loads anew. */
function commitsOf(replies: readonly Reply[], known: readonly Commit[], log: LogReader): readonly Commit[] | null {
  try {
    const commits = replies.flatMap((reply) => log.read(reply).commit ?? [])
    return commits.length === replies.length ? [...known, ...commits] : null
  } catch (error) {
    if (error instanceof DataFault) return null
    throw error
  }
}
