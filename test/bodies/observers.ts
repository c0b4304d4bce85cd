import { type Hash, createHash } from 'node:crypto'
import { type Readable, Writable } from 'node:stream'
import busboy from 'busboy'

/** Something that reads a request's stream beside the canary. */
export interface Observer {
  /** Attaches it; what it returns says what it has read, where it reads all of it. */
  readonly attach: (request: Readable & { headers: Record<string, unknown> }) => Seen | void
  /** It can only be seen with a body of this kind. */
  readonly only?: 'text'
}

export interface Seen {
  readonly digest: () => string
}

/** Counts bytes as a mirror would, and says what they were. */
class Mirror extends Writable {
  readonly hash: Hash = createHash('sha1')
  readonly #slowly: boolean
  #left: number

  /** Fails once it has taken `most` bytes. */
  constructor(slowly: boolean, most = Infinity) {
    super({ highWaterMark: 65_536 })
    this.#slowly = slowly
    this.#left = most
    this.on('error', () => {})
  }

  override _write(chunk: Buffer, _encoding: string, callback: (error?: Error) => void): void {
    this.hash.update(chunk)
    this.#left -= chunk.length
    if (this.#left < 0) callback(new Error('the mirror is full'))
    else if (this.#slowly) setImmediate(callback)
    else callback()
  }
}

function mirrored(request: Readable, mirror: Mirror): Seen {
  request.pipe(mirror)
  return { digest: () => mirror.hash.copy().digest('hex') }
}

function counted(request: Readable, event: 'data' | 'readable', encoding?: BufferEncoding): Seen {
  const hash = createHash('sha1')
  const take = (chunk: Buffer | string) =>
    void hash.update(typeof chunk === 'string' ? Buffer.from(chunk, encoding) : chunk)
  if (encoding !== undefined) request.setEncoding(encoding)
  if (event === 'data') request.on('data', take)
  else {
    request.on('readable', () => {
      for (let chunk = request.read(); chunk !== null; chunk = request.read()) take(chunk)
    })
  }
  return { digest: () => hash.copy().digest('hex') }
}

/** Writes by hand what `pipe` would, and waits for its writer. */
function pacing(request: Readable): Seen {
  const mirror = new Mirror(true)
  request.on('data', (chunk) => {
    if (mirror.write(chunk)) return
    request.pause()
    mirror.once('drain', () => request.resume())
  })
  return { digest: () => mirror.hash.copy().digest('hex') }
}

/** As `raw-body` does it: beyond its limit it leaves the stream, and stops it. */
function limited(request: Readable): void {
  let length = 0
  const take = (chunk: Buffer) => {
    length += chunk.length
    if (length < 50_000) return
    request.off('data', take)
    request.unpipe()
    request.pause()
  }
  request.on('data', take)
}

/** All that must leave the body whole. */
export const OBSERVERS: Record<string, Observer> = {
  'a listener for data': { attach: (request) => counted(request, 'data') },
  'a pipe to a quick stream': { attach: (request) => mirrored(request, new Mirror(false)) },
  'a pipe to a slow stream': { attach: (request) => mirrored(request, new Mirror(true)) },
  'two pipes and a counter': {
    attach: (request) => {
      mirrored(request, new Mirror(true))
      mirrored(request, new Mirror(false))
      return counted(request, 'data')
    },
  },
  'a pipe that breaks': { attach: (request) => void mirrored(request, new Mirror(true, 100_000)) },
  'a pipe that breaks beside a counter': {
    attach: (request) => {
      mirrored(request, new Mirror(false, 100_000))
      return counted(request, 'data')
    },
  },
  resume: { attach: (request) => void request.resume() },
  pause: { attach: (request) => void request.pause() },
  'a listener for readable that reads': { attach: (request) => counted(request, 'readable') },
  'an iteration': {
    attach: (request) => {
      const hash = createHash('sha1')
      const read = async () => {
        for await (const chunk of request) hash.update(chunk as Buffer)
      }
      read().catch(() => {})
      return { digest: () => hash.copy().digest('hex') }
    },
  },
  'a look at the first bytes, which are put back': {
    attach: (request) => {
      request.once('readable', () => {
        const first: unknown = request.read(4) ?? request.read()
        if (first !== null) request.unshift(first)
      })
    },
  },
  'a writer that is waited for': { attach: pacing },
  busboy: {
    attach: (request) => {
      const parser = busboy({ headers: { 'content-type': 'multipart/form-data; boundary=xx' } })
      parser.on('file', (_name, file) => file.on('error', () => {}).resume()).on('error', () => {})
      request.pipe(parser)
    },
  },
  'a reader that gives up at its limit': { attach: limited },
  'text in latin-1': { attach: (request) => counted(request, 'data', 'latin1') },
  'text in UTF-8': { attach: (request) => counted(request, 'data', 'utf8'), only: 'text' },
}
