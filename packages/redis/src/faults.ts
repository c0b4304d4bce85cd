import { CanaryError } from '@canary-release/core'
import { ErrorReply } from '@redis/client'

/** What is known of a change that failed. */
type CanaryErrorDetails = NonNullable<ConstructorParameters<typeof CanaryError>[2]>

/** A command got no answer in its time: what became of it is not known. */
export class NoAnswer extends Error {
  override readonly name = 'NoAnswer'
}

/** A command was not sent: there is no connection. */
export class NotSent extends Error {
  override readonly name = 'NotSent'
}

/** What is stored cannot be read, or is not ours. The message says what to do. */
export class DataFault extends Error {
  override readonly name = 'DataFault'
}

/**
 * A failure as users of the store get it. The message says what to change and holds nothing of the server's; what it
 * said is the cause.
 */
export function storeError(message: string, details: CanaryErrorDetails = {}): CanaryError {
  return new CanaryError('ERR_CANARY_STORE', message, details)
}

export function closedError(): CanaryError {
  return new CanaryError('ERR_CANARY_CLOSED', 'the store is closed')
}

/** What the first word of an error reply means, and what to do. */
const MEANING: Readonly<Record<string, string>> = {
  NOAUTH: 'Redis asks for a password: give user name and password in the URL',
  WRONGPASS: 'Redis refused the user name or password of the URL',
  NOPERM:
    'the user of Redis may not run what the store needs: grant the ACL rule that the README of @canary-release/redis gives',
  WRONGTYPE: 'Redis holds other data under the keys of this store: choose another name',
  CANARYFOREIGN: 'Redis holds other data under the keys of this store: choose another name',
  CANARYDAMAGED:
    'what Redis holds under the keys of this store is not whole: restore it from a backup, or delete its keys',
  CANARYFORMAT: 'what Redis holds was written by another version of @canary-release/redis: upgrade this one',
  OOM: 'Redis has no memory left: raise its maxmemory',
  MISCONF: 'Redis cannot write to its disk, and refuses changes',
  NOREPLICAS: 'Redis refuses changes: fewer replicas are connected than its min-replicas-to-write',
  READONLY: 'this Redis is a replica: give the address of the master',
  MASTERDOWN: 'this Redis is a replica without its master: give the address of the master',
  LOADING: 'Redis is still reading its data from disk',
  BUSY: 'Redis is busy with a script',
  CLUSTERDOWN: 'the cluster of Redis is down',
  MOVED: 'the cluster of Redis moved the keys of this store',
  ASK: 'the cluster of Redis is moving the keys of this store',
  TRYAGAIN: 'the cluster of Redis is moving the keys of this store',
  UNBLOCKED: 'this Redis is no longer the master',
}

/** The first word of an error reply: its code. */
export function codeOf(error: unknown): string | null {
  return error instanceof ErrorReply ? (/^[A-Z]+/.exec(error.message)?.[0] ?? '') : null
}

/** Error replies after which the connection is of no more use: another server is the master, or will be. */
const GONE = new Set(['READONLY', 'MASTERDOWN', 'MOVED', 'ASK', 'UNBLOCKED', 'CLUSTERDOWN', 'LOADING'])

export function meansGone(error: unknown): boolean {
  return GONE.has(codeOf(error) ?? '')
}

/** Whether the server answered that it did not do it: then a command, or a script, changed nothing. */
export function isRefusal(error: unknown): boolean {
  return error instanceof ErrorReply
}

/** Whether someone must change something: a server answered, and it is not for a moment only. */
export function isForPeople(error: unknown): boolean {
  return error instanceof CanaryError || error instanceof DataFault || (isRefusal(error) && !meansGone(error))
}

/** Any failure as the store's error. `known`: of the change that failed, if it was one. */
export function explained(error: unknown, known: Omit<CanaryErrorDetails, 'cause'> = {}): CanaryError {
  if (error instanceof CanaryError) {
    if (error.code !== 'ERR_CANARY_STORE' || known.outcome === undefined) return error
    return storeError(error.message, { cause: error.cause ?? error, ...known })
  }
  return storeError(wordsFor(error), { cause: error, ...known })
}

function wordsFor(error: unknown): string {
  if (error instanceof DataFault) return error.message
  const isGivenUp = error instanceof Error && /^(?:Abort|Timeout)Error$/.test(error.name)
  if (error instanceof NoAnswer || isGivenUp) return 'Redis did not answer in time'
  if (!(error instanceof ErrorReply)) return 'Redis cannot be reached: check host and port of its URL, and the server'
  if (/unknown (?:sub)?command/i.test(error.message)) {
    return 'this Redis lacks a command that the store needs: 6.2 or newer is needed'
  }
  return MEANING[codeOf(error) ?? ''] ?? 'Redis refused a command of the store'
}
