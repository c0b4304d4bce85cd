import { connect } from 'node:net'
import { Draws } from '../draws.js'
import { type FuzzedGateway, startFuzzed } from './gateways.js'
import { type Pipeline, drawPipeline } from './pipelines.js'
import { startStrictUpstream } from './strict-upstream.js'

/** What a run found; `faults` is empty where all held. */
export interface FuzzResult {
  readonly pipelines: number
  readonly decisions: number
  readonly requests: number
  readonly faults: readonly string[]
}

export interface FuzzOptions {
  /** The gateway's name. */
  readonly gateway: string
  readonly seed: number
  /** Pipelines to send. */
  readonly pipelines: number
  /** Connections at a time. */
  readonly connections: number
}

/** No pipeline takes a gateway longer: its own limits are shorter. Only a connection that hangs meets it. */
const HANGS_MS = 30_000

/**
 * Sends damaged pipelines through a gateway to an upstream that takes no liberties. What holds: every connection ends,
 * the upstream finds nothing to object to and gets no more requests than were decided, and each answer names the request
 * whose turn it is.
 */
export async function fuzz({ gateway: name, seed, pipelines, connections }: FuzzOptions): Promise<FuzzResult> {
  await using upstream = await startStrictUpstream()
  await using gateway = await startFuzzed(name, upstream.port)
  const faults: string[] = []
  let next = 0
  const work = async () => {
    while (next < pipelines && faults.length < 5) {
      const number = next
      next += 1
      const pipeline = drawPipeline(new Draws(seed + number * 7919))
      const before = upstream.faults.length
      const found = await send(gateway, pipeline)
      if (found !== null) faults.push(`seed ${seed}, pipeline ${number}: ${found}: ${JSON.stringify(pipeline.pieces)}`)
      for (const fault of upstream.faults.slice(before)) faults.push(`near seed ${seed}, pipeline ${number}: ${fault}`)
    }
  }
  await Promise.all(Array.from({ length: connections }, work))
  if (upstream.requests > gateway.decisions)
    faults.push(`${upstream.requests} requests came of ${gateway.decisions} decisions`)
  return { pipelines: next, decisions: gateway.decisions, requests: upstream.requests, faults }
}

/** Writes a pipeline and says that nothing more comes; the fault, or `null`. */
async function send({ port }: FuzzedGateway, { pieces }: Pipeline): Promise<string | null> {
  const socket = connect({ port, host: '127.0.0.1', noDelay: true })
  let text = ''
  let hangs = false
  const watch = setTimeout(() => {
    hangs = true
    socket.destroy()
  }, HANGS_MS)
  const closed = new Promise<void>((resolve) => socket.on('close', () => resolve()))
  socket.on('data', (chunk) => (text += chunk.toString('latin1')))
  // A reset is an end too: what a gateway refuses, it may leave unread.
  socket.on('error', () => {})
  for (const piece of pieces) {
    // Each in a packet of its own.
    await new Promise<void>((resolve) => socket.write(Buffer.from(piece, 'latin1'), () => resolve()))
    await new Promise(setImmediate)
  }
  socket.end()
  await closed
  clearTimeout(watch)
  return hangs ? 'the connection was left open' : orderFault(text)
}

/** Answers carry the target of their request, and targets their place in the pipeline. */
function orderFault(text: string): string | null {
  const places = [...text.matchAll(/<<\/r(\d)/g)].map(([, place]) => Number(place))
  const sorted = places.every((place, i) => i === 0 || place > (places[i - 1] ?? 0))
  return sorted ? null : `answers came in the order ${places.join(', ')}`
}
