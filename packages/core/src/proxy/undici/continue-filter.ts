import type { Socket } from 'node:net'
import { filterReads } from './private-hooks.js'

/** What comes next: nothing that is looked at, a status line, or the rest of an interim response's head. */
type Expects = 'nothing' | 'status' | 'continue' | 'interim'

/** The final answer, a 100, another interim response, or too little to say. */
type Kind = 'final' | 'continue' | 'interim' | 'unknown'

// Any x stands for any byte: whether it is a valid one is for undici to say.
const INTERIM = 'HTTP/1.x 1xx'
const CODE = INTERIM.length - 3
const HEAD_END = '\r\n\r\n'
/** As much as undici takes of a head: what is longer is shown to it, and refused. */
const MOST_DROPPED = 65_536

/**
 * Takes an upstream's `100 Continue` out of what undici reads, which holds it for a bad response: servers may send one
 * that nobody asked for, and every client must take it. It may come in any number of pieces, and among other interim
 * responses, which are left to undici.
 */
export class ContinueFilter {
  #expects: Expects = 'nothing'
  /** The beginning of a status line that may become a 100's: fewer bytes than it takes to say. */
  #held: Buffer | null = null
  /** How much of the end of a head came last: 0 to 3 bytes. */
  #ended = 0
  /** Bytes of the present 100. */
  #dropped = 0

  constructor(socket: Socket) {
    filterReads(socket, (read) => {
      let chunk = read()
      while (this.#expects !== 'nothing' && Buffer.isBuffer(chunk)) {
        const left = this.#filter(chunk)
        if (left.length > 0) return left
        chunk = read()
      }
      return chunk
    })
  }

  /** A request is sent: its answer comes next, behind any number of interim responses. */
  expectAnswer(): void {
    this.#expects = 'status'
    this.#held = null
  }

  /** A piece without its 100s, and without what must wait for the next piece. */
  #filter(piece: Buffer): Buffer {
    if (this.#expects === 'status' && this.#held === null && kindOf(piece, 0) === 'final') {
      this.#expects = 'nothing'
      return piece
    }
    const chunk = this.#held === null ? piece : Buffer.concat([this.#held, piece])
    this.#held = null
    const left: Buffer[] = []
    let at = 0
    while (at < chunk.length && this.#expects !== 'nothing') {
      at = this.#expects === 'status' ? this.#begin(chunk, at, left) : this.#goOn(this.#expects, chunk, at, left)
    }
    return left.length === 1 && left[0] !== undefined ? left[0] : Buffer.concat(left)
  }

  /** Looks at a status line, and returns where there is more to look at. */
  #begin(chunk: Buffer, at: number, left: Buffer[]): number {
    const kind = kindOf(chunk, at)
    if (kind === 'continue' || kind === 'interim') {
      this.#expects = kind
      this.#ended = 0
      this.#dropped = 0
      return at
    }
    if (kind === 'unknown') this.#held = chunk.subarray(at)
    else {
      this.#expects = 'nothing'
      left.push(chunk.subarray(at))
    }
    return chunk.length
  }

  /** Passes over as much of an interim response's head as there is, and returns where that ends. */
  #goOn(expects: 'continue' | 'interim', chunk: Buffer, at: number, left: Buffer[]): number {
    const end = this.#headEnd(chunk, at)
    if (this.#ended === HEAD_END.length) this.#expects = 'status'
    if (expects === 'interim') left.push(chunk.subarray(at, end))
    else if ((this.#dropped += end - at) > MOST_DROPPED) {
      this.#expects = 'nothing'
      left.push(chunk.subarray(at))
      return chunk.length
    }
    return end
  }

  /** Where the present head ends, or the piece where that comes first. */
  #headEnd(chunk: Buffer, from: number): number {
    let at = from
    while (at < chunk.length && this.#ended < HEAD_END.length) {
      const byte = chunk[at]
      if (byte === HEAD_END.charCodeAt(this.#ended)) this.#ended += 1
      else this.#ended = byte === HEAD_END.charCodeAt(0) ? 1 : 0
      at += 1
    }
    return at
  }
}

function kindOf(chunk: Buffer, at: number): Kind {
  for (let i = 0; i < INTERIM.length; i += 1) {
    const byte = chunk[at + i]
    if (byte === undefined) return 'unknown'
    if (INTERIM[i] !== 'x' && byte !== INTERIM.charCodeAt(i)) return 'final'
  }
  const code = chunk.toString('latin1', at + CODE, at + INTERIM.length)
  if (code === '100') return 'continue'
  // A 101 ends HTTP on its connection.
  return code === '101' ? 'final' : 'interim'
}
