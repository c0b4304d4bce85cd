import { Agent, get } from 'node:http'
import type { Answer } from './ledger.js'
import { CONSUMERS, consumerKey } from './releases.js'

export const VISITORS = 40
const EVERY_MS = 50

export interface Traffic {
  stop(): void
}

export interface TrafficPlan {
  readonly port: number
  readonly perSecond: number
  readonly random: () => number
  /** How many buckets are on B now. */
  readonly bucketsOnB: () => number
  readonly onAnswer: (answer: Answer) => void
}

/** Requests of 200 consumers with keys, one in ten of an anonymous visitor. */
export function startTraffic({ port, perSecond, random, bucketsOnB, onAnswer }: TrafficPlan): Traffic {
  const agent = new Agent({ keepAlive: true, maxSockets: 32 })
  const timer = setInterval(() => {
    for (let i = 0; i < (perSecond * EVERY_MS) / 1000; i += 1) send()
  }, EVERY_MS)

  function send(): void {
    const [caller, headers] = someone(random)
    const before = bucketsOnB()
    const request = get({ host: '127.0.0.1', port, path: '/orders/1', headers, agent }, (response) => {
      response.resume()
      const side = response.headers['x-canary-upstream']
      const after = bucketsOnB()
      const between = { least: Math.min(before, after), most: Math.max(before, after) }
      if (side === 'A' || side === 'B') onAnswer({ caller, side, bucketsOnB: between })
    })
    // A gateway that is being closed: its last requests fail, and nobody waits for them.
    request.on('error', () => {})
  }

  return {
    stop: () => {
      clearInterval(timer)
      agent.destroy()
    },
  }
}

function someone(random: () => number): [string, Record<string, string>] {
  if (random() < 0.1) {
    const ip = `198.51.100.${1 + Math.floor(random() * VISITORS)}`
    return [ip, { 'x-forwarded-for': ip }]
  }
  const key = consumerKey(Math.floor(random() * CONSUMERS))
  return [key, { apikey: key }]
}
