export { CanaryError, type CanaryErrorCode } from './errors.js'
export type { Decision, HashedBy, Outcome, Reason, UpstreamName } from './decision/decision.js'
