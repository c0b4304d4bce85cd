import type { Hash } from '../../decision/plan.js'
import type { Guard, GuardHost, ResolvedGuardOptions } from '../../guard/index.js'
import type { Row } from '../records/rows.js'

/** A plugin whose release is guarded. */
export interface GuardedPlugin {
  /** As it is stored. */
  readonly row: Row<'plugins'>
  /** Whether a move is in force here that the store does not have yet. */
  readonly isAhead: boolean
  /** Does what moves the live release for a breach, ahead of the store. */
  breach(move: () => void): void
}

/** Where the guards of live releases come from. */
export interface LiveGuards {
  /** @param hash what the release hashes, without secrets */
  make(plugin: GuardedPlugin, options: ResolvedGuardOptions, hash: Hash, host: GuardHost): Guard
  /** The plugin is deleted. */
  gone(plugin: string): void
}
