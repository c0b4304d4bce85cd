import { CanaryError } from '../../errors.js'

/** What keeps a body from being sent as it came. */
export type BodyFault = 'read' | 'held' | 'decoded' | 'destroyed' | 'objects' | 'length'

const SAYS: Readonly<Record<BodyFault, string>> = {
  read: 'the body was read before it could be sent: mount canary before what reads it',
  held: 'something else that reads the body keeps it back, paused perhaps: mount canary before it',
  decoded: 'something else that reads the body decodes it as text, which loses bytes: mount canary before it',
  destroyed: 'something else that reads the body destroyed it: mount canary before it',
  objects: 'a hook replaced the body with a stream of objects: a stream of bytes was expected',
  length: 'the body is not as long as its content-length: a hook that changes the body must delete that header',
}

/** The error for a body that cannot be sent whole. The message is fixed text that names the remedy. */
export function bodyError(fault: BodyFault, cause?: unknown): CanaryError {
  return new CanaryError('ERR_CANARY_BODY', SAYS[fault], cause === undefined ? {} : { cause })
}

/** The error for a stream that a hook put in place of the body, and that failed: what the client sent was invalid. */
export function payloadError(cause: unknown): CanaryError {
  return new CanaryError('ERR_CANARY_REQUEST', 'the stream that a hook made of the body failed', { cause })
}
