import { once } from 'node:events'
import { Worker } from 'node:worker_threads'
import { CanaryError } from '../../errors.js'
import { optionError } from '../../option-error.js'
import { SerialQueue } from '../serial-queue.js'
import { type Declarative, type DeclarativeOptions, readDeclarative } from './declarative.js'
import type { ParseAnswer, ParseTask } from './parse-worker.js'

/** Starting a thread costs more than reading so few characters, also where all of them are aliases or faults. */
const SMALL = 2 * 1024
const MAX_MEMORY_MB = 1024
/** One thread at a time: each may take all of that memory. */
const threads = new SerialQueue()

/**
 * Reads a file in Kong's declarative format (`_format_version: "3.0"`, "2.1" or "1.1"), YAML or JSON, and checks all of
 * it. What has no `id` gets one that follows from its name or scope, so that a file always means the same buckets.
 *
 * A long file is read in a thread of its own, so that the process goes on serving; of several, one after the other. It may have 4 MB, 50 000 values in
 * YAML or 100 000 in JSON, and 10 000 records.
 *
 * @throws {CanaryError} ERR_CANARY_OPTION that names the line, place and reason of each fault
 */
export async function parseDeclarative(text: string, options: DeclarativeOptions = {}): Promise<Declarative> {
  if (typeof text !== 'string') throw optionError('parseDeclarative', 'must get a string', text)
  if (text.length <= SMALL) return readDeclarative(text, options)
  const { format, otherPlugins } = options
  const task = { text, options: { format, otherPlugins } }
  return (await threads.run(() => parsedApart(task))) ?? readDeclarative(text, options)
}

/** `null` if there is no file for the thread: bundlers leave it out. */
async function parsedApart(task: ParseTask): Promise<Declarative | null> {
  const worker = new Worker(new URL('parse-worker.js', import.meta.url), {
    workerData: task,
    resourceLimits: { maxOldGenerationSizeMb: MAX_MEMORY_MB },
  })
  try {
    const answer = await answerOf(worker)
    if ('fault' in answer) throw new CanaryError('ERR_CANARY_OPTION', answer.fault)
    return answer.declarative
  } catch (error) {
    if (error instanceof CanaryError) throw error
    if (codeOf(error) === 'ERR_WORKER_OUT_OF_MEMORY') {
      throw new CanaryError('ERR_CANARY_OPTION', 'declarative file, line 1, column 1: needs too much memory to be read')
    }
    if (codeOf(error) === 'MODULE_NOT_FOUND' || codeOf(error) === 'ERR_MODULE_NOT_FOUND') return null
    throw error
  } finally {
    await worker.terminate()
  }
}

async function answerOf(worker: Worker): Promise<ParseAnswer> {
  // Rejects with what the thread throws. Its exit comes behind its message.
  const [answer]: (ParseAnswer | number)[] = await Promise.race([once(worker, 'message'), once(worker, 'exit')])
  if (typeof answer === 'object') return answer
  throw new CanaryError('ERR_CANARY_OPTION', 'declarative file: the thread that read it was ended')
}

function codeOf(error: unknown): unknown {
  return error instanceof Error && 'code' in error ? error.code : undefined
}
