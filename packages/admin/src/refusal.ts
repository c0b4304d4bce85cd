/** Why a request is answered with an error that is not a record's: the body has Kong's shape. */
export class Refusal extends Error {
  override readonly name = 'Refusal'
  readonly status: RefusalStatus
  readonly headers: Readonly<Record<string, string>>

  constructor(status: RefusalStatus, message: string, headers: Readonly<Record<string, string>> = {}) {
    super(message)
    this.status = status
    this.headers = headers
  }
}

export type RefusalStatus = 400 | 401 | 403 | 404 | 405 | 408 | 412 | 413 | 415 | 429 | 500 | 503

// The rest of a body that nobody will read would otherwise be taken for the next request.
const CLOSING = { connection: 'close' }

export const notFound = () => new Refusal(404, 'Not found')
export const methodNotAllowed = (allow: string) => new Refusal(405, 'Method not allowed', { allow })
export const badJson = () => new Refusal(400, 'Cannot parse JSON body')
export const badForm = () => new Refusal(400, 'Cannot parse form body')
export const tooManyFields = () => new Refusal(400, 'Form body has too many fields')
export const tooManyValues = () => new Refusal(400, 'JSON body has too many values')
export const unsupportedMediaType = () => new Refusal(415, 'Unsupported media type')
export const bodyTooLarge = () => new Refusal(413, 'Request body too large', CLOSING)
export const bodyTooSlow = () => new Refusal(408, 'Request body did not arrive in time', CLOSING)
export const bodyCutOff = () => new Refusal(400, 'Request body was cut off', CLOSING)
export const preconditionFailed = () => new Refusal(412, 'Precondition failed')
export const unauthorized = () => new Refusal(401, 'Unauthorized', { 'www-authenticate': 'Bearer realm="admin"' })
export const tooManyWrong = (seconds: number) =>
  new Refusal(429, 'Too many wrong tokens', { 'retry-after': String(seconds) })
export const tooManyFiles = () => new Refusal(503, 'Too many configurations are being read', { 'retry-after': '1' })
export const forbidden = (why: string) => new Refusal(403, why)
