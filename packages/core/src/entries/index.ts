export { fail } from '../adapter/request-decisions.js'
export type { Decision, HashedBy, Outcome, Reason, UpstreamName } from '../decision/decision.js'
export type { ExplainedRule, Explanation } from '../decision/explain.js'
export type { RequestDescription } from '../decision/facts.js'
export type { Hash } from '../decision/plan.js'
export { CanaryError, type CanaryErrorCode, type CanaryErrorDetails } from '../errors.js'
export type {
  ArmCount,
  GuardErrorOptions,
  GuardHardLimitOptions,
  GuardLatencyOptions,
  GuardOptions,
  GuardReport,
  Verdict,
} from '../guard/index.js'
export type {
  Attempt,
  AttemptResult,
  Forwarder,
  RequestHeadersHook,
  ResponseHeadersHook,
  TransportSettings,
} from '../proxy/forwarder.js'
export type { ResponseSink } from '../proxy/response/sink.js'
export type { RawRequest, RawResponse } from '../node-http.js'
export type { HealthOptions, ProxyOptions } from '../proxy/options.js'
export type { Move, ReleaseRecord } from '../release/lifecycle.js'
export type { LifeState, ReleaseState } from '../release-state.js'
export type { Logger } from '../logger.js'
export type { ConsumerValue } from '../request/consumer.js'
export type { AnyHandler, MountOptions, OverrideOptions, ReleaseOptions, Upstreams } from '../release/options.js'
export type { Release } from '../release/release-interface.js'
export { createRelease } from '../release/release.js'
export type { ReleaseChange, ReleaseEvents } from '../release/release-events.js'
export type { RestartShare } from '../release/restart.js'
export type { ReleaseStatus, UpstreamCounts } from '../release/status.js'
export type { TlsOptions, UrlUpstream } from '../upstream.js'
export type { UpstreamBOption, UpstreamLocation, UpstreamOption, UpstreamParts } from '../release/upstream-options.js'
export { currentDecision } from '../current-decision.js'
export { type ApiKeyOptions, type KeyedRequest, apiKeyConsumers } from '../request/api-keys.js'
