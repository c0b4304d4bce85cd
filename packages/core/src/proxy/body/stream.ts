import type { Readable } from 'node:stream'
import { CanaryError } from '../../errors.js'
import { bodyError } from './error.js'
import type { Attempt } from '../forwarder.js'
import { isHeldBack } from './upload.js'
import { TakenBody } from './taken.js'

// How whoever sends a body treats its stream: the request itself, or what was taken from it.

/** Why a body that was whole when it was decided how to send it no longer is; `null`: it is. */
export function bodyFault({ readableDidRead, readableEnded, destroyed, errored }: Readable): CanaryError | null {
  if (errored instanceof CanaryError) return errored
  if (readableDidRead || readableEnded) return bodyError('read')
  return destroyed ? bodyError('destroyed') : null
}

/** Calls `failed` where a taken body cannot be read to its end. The request itself says nothing but that it closed. */
export function onBodyError(stream: Readable, failed: (error: CanaryError) => void): void {
  if (stream instanceof TakenBody) stream.on('error', failed)
}

/** Lets go of a body that was begun and is not sent to its end. */
export function leaveBody(stream: Readable): void {
  if (stream instanceof TakenBody) stream.destroy()
}

/** Whether somebody in this process keeps back what the client has sent. */
export function isBodyHeld({ stream, request }: Attempt): boolean {
  return stream instanceof TakenBody ? stream.heldBack : isHeldBack(request)
}
