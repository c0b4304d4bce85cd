import type { UpstreamFailure } from '../upstream-error.js'

/** Who or what an exchange waits for. */
export type Waits = 'queue' | 'connection' | 'upload' | 'upstream' | 'client'

/** How the upstream has failed where that took too long; else it depends on how far it came. */
export const EXPIRED: Partial<Record<Waits, UpstreamFailure>> = {
  connection: 'connect-timeout',
  upload: 'upload-timeout',
}
