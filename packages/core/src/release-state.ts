/** Every state of a release, in the order in which messages list them. */
export const RELEASE_STATES = [
  'scheduled',
  'running',
  'complete',
  'disabled',
  'paused',
  'rolled-back',
  'promoted',
] as const

/**
 * What a release is doing. `disabled`: `enabled` is false, so all is on A and the time of a ramp stands still; a release
 * that was paused, rolled back or promoted says that instead, as that outlasts it.
 */
export type ReleaseState = (typeof RELEASE_STATES)[number]

/** What a release is doing, where `enabled` is true. `complete`: all buckets are on B, time to finish. */
export type LifeState = Exclude<ReleaseState, 'disabled'>
