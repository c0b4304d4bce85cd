import type { Store } from '@canary-release/core/registry'

/** A kind of server that a registry is kept in. */
export interface Engine {
  readonly name: string
  /** What is to be reached, in milliseconds. */
  readonly limits: {
    /** From a change's acknowledgement until it is in force in 16 other processes, for 99 of 100. */
    readonly propagation: number
    /** For 50 writers to make 20 changes each. */
    readonly writers: number
    /** Until what a process counted of a release in a tick is taken, for 99 of 100. */
    readonly tick: number
  }
  /** Starts a server with nothing on it. */
  start(): Promise<FleetServer>
  /** Starts a master and a replica that follows it; a change counts as made when the replica has it. */
  startPair(): Promise<FleetPair>
  /** A store on a server. Also called in other processes. */
  store(address: string, options?: { readonly replicas?: number }): Store
}

export interface FleetServer extends AsyncDisposable {
  readonly address: string
  /** Kills it as a crash does. */
  kill(): Promise<void>
  /** Starts it again on the same data; resolves when it answers. */
  start(): Promise<void>
}

export interface FleetPair extends AsyncDisposable {
  readonly master: string
  readonly replica: string
  /** Cuts the link between them: nothing that is under way arrives later. */
  cutLink(): void
  /** Kills the master, and makes the replica one. */
  failOver(): Promise<void>
}
