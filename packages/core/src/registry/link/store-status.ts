import type { Position } from '../records/store.js'

/** How a registry stands to its store. */
export interface StoreStatus {
  /** Whether the store could be read or written when that was last tried. */
  readonly connected: boolean
  /** Since when it is not connected, in milliseconds since the epoch; `null` while it is. */
  readonly since: number | null
  /** Whether what is in force came from the `cache`, and the store has not been read yet. */
  readonly stale: boolean
  /**
   * Where this registry stands and where the store does, if the one is not in the history of the other: the store was
   * emptied, put back or failed over with losses. Changes are refused until `accept`.
   */
  readonly rewound: { readonly known: Position; readonly stored: Position } | null
  /** Where in the store's history the state in force is. */
  readonly position: Position
}
