import type { NodeRequest } from '../node-request.js'
import { bodyCutOff, bodyTooLarge, bodyTooSlow } from '../refusal.js'

const MAX_BODY_BYTES = 1024 * 1024

/** A body: its bytes, or what a parser of the host made of it. */
export type TakenBody = { readonly bytes: Buffer } | { readonly parsed: unknown }

/**
 * The body of a request, also where a parser has read it: judged by the stream, as parsers leave an empty `body` on
 * requests that they did not read.
 *
 * @throws {Refusal} 413, 408, 400
 */
export async function takeBody(request: NodeRequest, timeoutMs: number): Promise<TakenBody> {
  if (Number(request.headers['content-length']) > MAX_BODY_BYTES) throw bodyTooLarge()
  if (!request.readableDidRead) return { bytes: await readBytes(request, timeoutMs) }
  const { rawBody, body } = request
  for (const source of [rawBody, body]) {
    if (typeof source === 'string' || Buffer.isBuffer(source)) return { bytes: limited(Buffer.from(source)) }
  }
  if (body !== undefined && body !== null) return { parsed: body }
  if (!hasBody(request)) return { bytes: Buffer.alloc(0) }
  throw new Error(
    'the body was read before the Admin API: mount it before body parsers, or leave req.body or req.rawBody',
  )
}

function hasBody({ headers }: NodeRequest): boolean {
  return headers['transfer-encoding'] !== undefined || Number(headers['content-length'] ?? 0) > 0
}

function limited(bytes: Buffer): Buffer {
  if (bytes.length > MAX_BODY_BYTES) throw bodyTooLarge()
  return bytes
}

function readBytes(request: NodeRequest, timeoutMs: number): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    const chunks: Buffer[] = []
    let length = 0
    const timer = setTimeout(() => fail(bodyTooSlow()), timeoutMs)
    const settle = () => {
      clearTimeout(timer)
      request.off('data', onData).off('end', onEnd).off('close', onClose)
      // An error that comes later is nobody's: without a listener it would end the process.
      request.on('error', () => {})
    }
    const fail = (error: Error) => {
      settle()
      request.pause()
      reject(error)
    }
    const onData = (chunk: Buffer) => {
      length += chunk.length
      if (length > MAX_BODY_BYTES) fail(bodyTooLarge())
      else chunks.push(chunk)
    }
    const onEnd = () => {
      settle()
      resolve(Buffer.concat(chunks))
    }
    const onClose = () => fail(bodyCutOff())
    request.on('data', onData).on('end', onEnd).on('close', onClose).once('error', onClose)
    if (request.destroyed) onClose()
  })
}
