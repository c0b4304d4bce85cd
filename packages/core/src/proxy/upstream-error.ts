import { CanaryError, type CanaryErrorCode } from '../errors.js'
import type { Attempt, TransportSettings } from './forwarder.js'

/** What can go wrong on the upstream's side. */
export type UpstreamFailure =
  | 'refused'
  | 'connect-timeout'
  | 'circuit-open'
  | 'busy'
  | 'busy-with-clients'
  | 'head-timeout'
  | 'upload-timeout'
  | 'body-timeout'
  | 'request-timeout'
  | 'broken-head'
  | 'broken-body'
  | 'broken-upload'

type Limit = 'connectTimeoutMs' | 'headersTimeoutMs' | 'bodyTimeoutMs' | 'requestTimeoutMs'

interface Explained {
  readonly code: CanaryErrorCode
  /** After `upstream B`. May be shown to anyone: no address, nothing the upstream said. */
  readonly says: string
  /** The setting whose time was up, said after the rest. */
  readonly limit?: Limit
  /** Whether others are to blame. */
  readonly excused?: true
}

const excusedErrors = new WeakSet<CanaryError>()

/** Whether an error that names an upstream is the doing of other clients. */
export function isExcused(error: CanaryError): boolean {
  return excusedErrors.has(error)
}

const FAILURES: Readonly<Record<UpstreamFailure, Explained>> = {
  refused: { code: 'ERR_CANARY_UPSTREAM_CONNECT', says: 'could not be connected to' },
  'circuit-open': { code: 'ERR_CANARY_UPSTREAM_CONNECT', says: 'is out of service' },
  busy: { code: 'ERR_CANARY_UPSTREAM_BUSY', says: 'has no free connection' },
  // Not the upstream's failure: it has done its part on most of them.
  'busy-with-clients': {
    code: 'ERR_CANARY_UPSTREAM_BUSY',
    says: 'has no free connection, as most wait for clients',
    excused: true,
  },
  'connect-timeout': {
    code: 'ERR_CANARY_UPSTREAM_TIMEOUT',
    says: 'could not be connected to in',
    limit: 'connectTimeoutMs',
  },
  'head-timeout': { code: 'ERR_CANARY_UPSTREAM_TIMEOUT', says: 'did not answer in', limit: 'headersTimeoutMs' },
  'upload-timeout': {
    code: 'ERR_CANARY_UPSTREAM_TIMEOUT',
    says: 'took no more of the request for',
    limit: 'bodyTimeoutMs',
  },
  'body-timeout': {
    code: 'ERR_CANARY_UPSTREAM_TIMEOUT',
    says: 'sent no more of its response for',
    limit: 'bodyTimeoutMs',
  },
  'request-timeout': {
    code: 'ERR_CANARY_UPSTREAM_TIMEOUT',
    says: 'did not end its response in',
    limit: 'requestTimeoutMs',
  },
  'broken-head': { code: 'ERR_CANARY_UPSTREAM_RESPONSE', says: 'gave no valid response' },
  // Neither side's failure: a connection that breaks under an upload may have been closed for a good answer, now lost.
  'broken-upload': { code: 'ERR_CANARY_UPLOAD', says: 'took no more of the request, and no answer came' },
  'broken-body': { code: 'ERR_CANARY_UPSTREAM_RESPONSE', says: 'broke off in its response' },
}

/** The error for a failure; the address and what really happened are only in its `cause`. */
export function upstreamError(
  failure: UpstreamFailure,
  { upstream, settings }: { upstream: Pick<Attempt['upstream'], 'name'>; settings: Pick<TransportSettings, Limit> },
  cause?: unknown,
): CanaryError {
  const { code, says, limit, excused } = FAILURES[failure]
  const message = `upstream ${upstream.name} ${says}${limit === undefined ? '' : ` ${duration(settings[limit] ?? 0)}`}`
  const error = new CanaryError(code, message, cause === undefined ? {} : { cause })
  if (excused === true) excusedErrors.add(error)
  return error
}

/** A limit as people say it. */
export function duration(milliseconds: number): string {
  return milliseconds < 1000 ? `${milliseconds} ms` : `${milliseconds / 1000} s`
}

/** The error where the time for a whole exchange is up and it was not the upstream that was waited for. */
export function requestTimeoutError({ requestTimeoutMs }: Pick<TransportSettings, 'requestTimeoutMs'>): CanaryError {
  return new CanaryError('ERR_CANARY_TIMEOUT', `the request took longer than ${duration(requestTimeoutMs ?? 0)}`)
}

/** The error where the gateway itself is going down. */
export function closedError(cause?: unknown): CanaryError {
  return new CanaryError('ERR_CANARY_CLOSED', 'the canary is closed', cause === undefined ? {} : { cause })
}
