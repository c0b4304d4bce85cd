import type { UpstreamName } from '../decision/decision.js'
import { CanaryError, type CanaryErrorCode } from '../errors.js'

/** What can go wrong on the upstream's side. */
export type UpstreamFailure =
  | 'refused'
  | 'connect-timeout'
  | 'out'
  | 'busy'
  | 'head-timeout'
  | 'upload-timeout'
  | 'body-timeout'
  | 'broken-head'
  | 'broken-body'

/** Texts that may be shown to anyone: no address, nothing the upstream said. */
const FAILURES: Readonly<Record<UpstreamFailure, readonly [CanaryErrorCode, (name: string, time: string) => string]>> =
  {
    refused: ['ERR_CANARY_UPSTREAM_CONNECT', (name) => `no connection to upstream ${name}`],
    'connect-timeout': ['ERR_CANARY_UPSTREAM_TIMEOUT', (name, time) => `no connection to upstream ${name} in ${time}`],
    out: ['ERR_CANARY_UPSTREAM_CONNECT', (name) => `upstream ${name} is out of service`],
    busy: ['ERR_CANARY_UPSTREAM_BUSY', (name) => `all connections to upstream ${name} are taken`],
    'head-timeout': ['ERR_CANARY_UPSTREAM_TIMEOUT', (name, time) => `upstream ${name} did not answer in ${time}`],
    'upload-timeout': [
      'ERR_CANARY_UPSTREAM_TIMEOUT',
      (name, time) => `upstream ${name} took no more of the body for ${time}`,
    ],
    'body-timeout': [
      'ERR_CANARY_UPSTREAM_TIMEOUT',
      (name, time) => `upstream ${name} stopped in its response for ${time}`,
    ],
    'broken-head': ['ERR_CANARY_UPSTREAM_RESPONSE', (name) => `upstream ${name} gave no valid response`],
    'broken-body': ['ERR_CANARY_UPSTREAM_RESPONSE', (name) => `upstream ${name} broke off in its response`],
  }

/** The error for a failure; the address and what really happened are only in its `cause`. */
export function upstreamError(
  failure: UpstreamFailure,
  name: UpstreamName,
  milliseconds = 0,
  cause?: unknown,
): CanaryError {
  const [code, message] = FAILURES[failure]
  return new CanaryError(code, message(name, seconds(milliseconds)), cause === undefined ? {} : { cause })
}

function seconds(milliseconds: number): string {
  return milliseconds < 1000 ? `${milliseconds} ms` : `${milliseconds / 1000} s`
}
