/** A consumer that the registry knows, as a decision needs it. */
export interface KnownConsumer {
  /** What is hashed, however the caller was named. */
  readonly id: string
  readonly groups: readonly string[]
}
