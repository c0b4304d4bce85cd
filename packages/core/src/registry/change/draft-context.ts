import type { Row, StoredRecord } from '../records/rows.js'

/** What a change is made with. */
export interface DraftContext {
  readonly by: string
  /** Of the commit: names the runs that it begins. */
  readonly id: string
  /** The version that the change makes where nobody is faster. */
  readonly version: number
  /** Milliseconds since the epoch. */
  readonly clock: () => number
  /** What a change of a plugin's release is made on. @default what is stored */
  readonly recordOf?: ((row: Row<'plugins'>) => StoredRecord) | undefined
}
