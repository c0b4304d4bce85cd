import type { Readable } from 'node:stream'

/** A framework that sends responses itself, so that all runs that it does with its own. */
export interface ResponseSink {
  /**
   * Takes a response whose headers are set already. `reason` is empty where the framework's own is as good; the body
   * comes as the upstream sends it.
   */
  readonly send: (status: number, reason: string, body: Readable) => void
  /** Whether the response has a header, whose name is in lower case. */
  readonly hasHeader: (name: string) => boolean
}
