import type { Socket } from 'node:net'

/** Whoever sends a body on a socket. */
export interface Upload {
  /** A write failed. True: the error stays with them, and the socket open to be read. False: it ends the socket. */
  writeFailed(error: Error): boolean
}

/** What is known of a socket that carries uploads, one after another. */
interface Watched {
  upload: Upload | null
  /** Bytes were given to the system that it has not taken yet. */
  writing: boolean
}

type Callback = (error?: Error | null) => void

const watched = new WeakMap<Socket, Watched>()

/**
 * Keeps the errors of writing to a socket from ending it, while `upload` is under way there: an upstream that answers
 * early and closes lets the next write fail, and Node would throw away the answer that has already come.
 */
export function keepWriteErrors(socket: Socket, upload: Upload): void {
  const known = watched.get(socket)
  if (known !== undefined) known.upload = upload
  else watch(socket, { upload, writing: false })
}

/** From now on errors end the socket again, unless it carries another upload by now. */
export function releaseWriteErrors(socket: Socket | null, upload: Upload): void {
  const known = socket === null ? undefined : watched.get(socket)
  if (known?.upload === upload) known.upload = null
}

/** Whether the system has not taken all that was written to a watched socket. */
export function isWriting(socket: Socket | null): boolean {
  return socket !== null && watched.get(socket)?.writing === true
}

function watch(socket: Socket, state: Watched): void {
  watched.set(socket, state)
  // Node's client takes its listener off where a write fails behind the answer, and the error would end the process.
  socket.on('error', ignore)
  const write = socket._write.bind(socket)
  const writev = socket._writev?.bind(socket)
  const keeping = (callback: Callback): Callback => {
    state.writing = true
    return (error) => {
      // What a destroyed socket says of a write is not true.
      if (socket.destroyed) return callback(error)
      if (error === undefined || error === null) state.writing = false
      else if (state.upload?.writeFailed(error) === true) return callback()
      callback(error)
    }
  }
  socket._write = (chunk, encoding, callback) => write(chunk, encoding, keeping(callback))
  if (writev !== undefined) socket._writev = (chunks, callback) => writev(chunks, keeping(callback))
}

function ignore(): void {}
