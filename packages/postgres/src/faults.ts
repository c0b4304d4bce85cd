import { CanaryError } from '@canary-release/core'

/** What the store found, or could not do, in words that may be shown to anyone; the server's own are the cause. */
export class StoreFault extends CanaryError {
  /** Whether it stays until somebody changes something: a lost connection comes back by itself. */
  readonly lasting: boolean

  constructor(message: string, { commit = null, lasting = true, cause }: FaultOptions = {}) {
    super('ERR_CANARY_STORE', message, {
      outcome: commit === null ? 'not-written' : 'unknown',
      ...(commit === null ? {} : { commit }),
      ...(cause === undefined ? {} : { cause }),
    })
    this.lasting = lasting
  }
}

interface FaultOptions {
  /** Of a change that may have been written although it failed. */
  readonly commit?: string | null
  readonly lasting?: boolean
  readonly cause?: unknown
}

/** A connection that is gone, or an answer that did not come in time. */
export class ConnectionLost extends Error {
  override readonly name = 'ConnectionLost'
}

export const RIGHTS =
  'the PostgreSQL user lacks rights: let an owner run what migrations() prints, and grant USAGE on the schema, ' +
  'SELECT, INSERT, UPDATE and DELETE on its tables canary_* and EXECUTE on the function canary_save'
export const FOREIGN =
  'the schema has tables named canary_* that are not what this package makes: name another one by the option schema, ' +
  'or make the missing parts by what migrations() prints'

/** What a server's answer means: its SQLSTATE, or Node's code of a failed connection. */
const MEANINGS: Record<string, string> = {
  '28000': 'the PostgreSQL server refused the user: check the user in the connection string, and pg_hba.conf',
  '28P01': 'the PostgreSQL server refused the password: check user and password in the connection string',
  '3D000': 'the database does not exist: check its name in the connection string, or create it',
  '42501': RIGHTS,
  '42P01': FOREIGN,
  '42703': FOREIGN,
  '42883': FOREIGN,
  '42P07': FOREIGN,
  '42804': FOREIGN,
  '3F000': FOREIGN,
  CR001: 'canary_head is empty: restore it from a backup, or name another schema',
  ERR_INVALID_URL: 'the connection string is not a URL: postgres://user:password@host:5432/database is expected',
  ENOTFOUND: 'no PostgreSQL server by that name: check the host in the connection string',
}

export const STANDBY =
  'the PostgreSQL server is read-only, a standby: name the primary in the connection string, or promote this server'

const BUSY = 'the tables of the store were busy all the time: another session holds them, or the server is too slow'

/** A server that answers so comes back by itself, or is about to be replaced by another. */
const PASSING: Record<string, string> = {
  '25006': STANDBY,
  '55P03': BUSY,
  '57014': BUSY,
  '40001': BUSY,
  '40P01': BUSY,
  '53300': 'the PostgreSQL server has no free connection: raise max_connections, or lower the number of processes',
}

/** Any failure as what it means. `commit`: of a change that may have been written all the same. */
export function storeFault(error: unknown, commit: string | null = null): StoreFault {
  if (error instanceof StoreFault) {
    if (commit === null) return error
    return new StoreFault(error.message, { commit, lasting: error.lasting, cause: error.cause })
  }
  const code = codeOf(error)
  const lasting = MEANINGS[code]
  const message = lasting ?? PASSING[code] ?? (isServerError(error) ? REFUSED : AWAY)
  return new StoreFault(message, { commit, lasting: lasting !== undefined, cause: error })
}

const REFUSED = 'the PostgreSQL server refused what the store asked for'
const AWAY = 'the PostgreSQL server does not answer: check host and port in the connection string, and the server'

export function codeOf(error: unknown): string {
  return typeof error === 'object' && error !== null && 'code' in error && typeof error.code === 'string'
    ? error.code
    : ''
}

/** Whether the server itself answered with an error. */
function isServerError(error: unknown): boolean {
  return typeof error === 'object' && error !== null && 'severity' in error
}

/**
 * Whether a statement failed for certain: the server ended it and said so. What ends the whole connection (FATAL) may
 * have come after the commit.
 */
export function certainlyFailed(error: unknown): boolean {
  return isServerError(error) && Reflect.get(Object(error), 'severity') === 'ERROR'
}

/** Others were in the way: the same again may succeed. */
export function isPassingConflict(error: unknown): boolean {
  return ['40001', '40P01', '55P03', '57014'].includes(codeOf(error))
}
