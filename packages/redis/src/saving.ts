import { randomUUID } from 'node:crypto'
import type { Commit, Proposal, SaveResult } from './contract.js'
import { DataFault, storeError } from './faults.js'
import { type Keys, keyList } from './keys.js'
import { DEADLINE_MS, type Link, type Reply } from './link.js'
import { SAVE } from './scripts.js'
import { NONSENSE, lines, listFrom, readLogEntry, readPosition, rowText } from './wire.js'

/** Above this, the log says only that all must be loaded anew. In characters. */
const LOGGED = 256 * 1024
/** How long is waited for replicas: the answer must be back before the connection is given up. In milliseconds. */
const REPLICAS_MS = DEADLINE_MS - 100

/** A proposal as the script takes it, made once for all attempts. */
export interface Prepared {
  readonly id: string
  readonly args: readonly string[]
}

export function prepared({ id, base, reads, writes, changes, audit }: Proposal, replicas: number): Prepared {
  const [readLines, writeLines, auditText] = [lines(reads), lines(writes), JSON.stringify(audit)]
  const rows = changes.flatMap((change) => [
    `${change.kind}/${change.id}`,
    change.row === null ? '' : rowText(change.row),
  ])
  const size = rows.reduce((sum, text) => sum + text.length, writeLines.length + auditText.length)
  const logged = size > LOGGED ? '' : JSON.stringify(changes)
  const position = [base.epoch, base.epoch === '' ? '0' : String(base.version), base.id]
  const flags = [logged === '' ? '1' : '0', replicas > 0 ? '1' : '0']
  return { id, args: [randomUUID(), id, ...position, readLines, writeLines, logged, auditText, ...flags, ...rows] }
}

/**
 * One attempt to commit.
 *
 * @throws {CanaryError} ERR_CANARY_STORE with outcome `unknown`, where it was committed and not enough replicas have it
 */
export async function attemptSave(
  link: Link,
  keys: Keys,
  { args, id }: Prepared,
  replicas: number,
): Promise<SaveResult> {
  const result = readResult(await link.run(SAVE, keyList(keys), args))
  if (replicas === 0 || result.kind !== 'saved') return result
  const received = await link.send(['WAIT', String(replicas), String(REPLICAS_MS)])
  if (Number(received) >= replicas) return result
  throw storeError('the change is in force, and a failover would lose it: too few replicas received it in time', {
    cause: new Error(`${String(received)} of ${replicas} replicas have the commit ${id}`),
    outcome: 'unknown',
  })
}

function readResult(reply: Reply): SaveResult {
  const [kind, ...rest] = listFrom(reply)
  switch (kind) {
    case 'saved':
      return { kind, at: readPosition(rest), missed: commitsOf(listFrom(rest[3])) ?? [] }
    case 'conflict':
      return { kind, missed: rest[0] === null ? null : commitsOf(listFrom(rest[0])) }
    case 'rewound':
      return { kind, stored: readPosition(rest) }
    default:
      throw new DataFault(NONSENSE, { cause: new Error(String(kind)) })
  }
}

/** `null` where one of them is not logged whole, or cannot be read: who needs it loads anew. */
function commitsOf(replies: readonly Reply[]): readonly Commit[] | null {
  try {
    const commits = replies.flatMap((reply) => readLogEntry(reply).commit ?? [])
    return commits.length === replies.length ? commits : null
  } catch (error) {
    if (error instanceof DataFault) return null
    throw error
  }
}
