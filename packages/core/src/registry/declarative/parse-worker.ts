import { parentPort, workerData } from 'node:worker_threads'
import { CanaryError } from '../../errors.js'
import { type Declarative, type DeclarativeOptions, readDeclarative } from './declarative.js'

/** What the thread is started with. */
export interface ParseTask {
  readonly text: string
  readonly options: DeclarativeOptions
}

/** What it says. A fault crosses as its message: an error would lose its class. */
export type ParseAnswer = { readonly declarative: Declarative } | { readonly fault: string }

function answerTo({ text, options }: ParseTask): ParseAnswer {
  try {
    return { declarative: readDeclarative(text, options) }
  } catch (error) {
    if (error instanceof CanaryError) return { fault: error.message }
    throw error
  }
}

parentPort?.postMessage(answerTo(workerData))
