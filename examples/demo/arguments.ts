import { parseArgs } from 'node:util'
import { isStoreUrl } from './store.js'

export const FRAMEWORKS = ['express', 'koa', 'fastify'] as const
export type FrameworkName = (typeof FRAMEWORKS)[number]

const RAMP_SECONDS = 60
const MAX_PROCESSES = 16

/** What the demo is asked to do. Ports 0 … 65535 (0: any free one), times in seconds. */
export interface DemoArguments {
  readonly framework: FrameworkName
  /** A fixed share instead of a ramp; `null`: a ramp. */
  readonly percentage: number | null
  readonly duration: number
  readonly port: number
  readonly adminPort: number
  /** How many processes serve requests, on one store: 1 … 16. */
  readonly processes: number
  /** The URL of a server that keeps the release; `null`: a file. */
  readonly store: string | null
  /** When B begins to fail 5 % of its requests; `null`: never. */
  readonly badAfter: number | null
}

export const HELP = `Shows a canary release: upstreams A and B, a gateway, and the traffic of 200 consumers.

npm start                              0 to 100 % on B in a minute, on Express
npm start -- --framework koa           or express, fastify
npm start -- --percentage 10           a fixed share instead
npm start -- --duration 300            seconds from 0 to 100 %
npm start -- --bad-after 20            B fails 5 % of its requests from then on: the guard rolls it back
npm start -- --processes 4             four processes, which keep the release in one file
npm start -- --processes 4 --store redis://localhost:6379
                                       the same in Redis, or by postgres://localhost/postgres in PostgreSQL
npm start -- --port 8080               where the gateway listens (8000)
npm start -- --admin-port 8081         where the Admin API listens (8001)

Port 0 takes any free one.
`

/** An argument that makes no sense; its message is a sentence for the person who typed it. */
export class ArgumentError extends Error {}

/**
 * Reads the command line; `null` where it asks for help.
 *
 * @throws {ArgumentError}
 */
export function readArguments(args: readonly string[]): DemoArguments | null {
  const values = parse(args)
  if (values.help) return null
  return {
    framework: frameworkOf(values.framework),
    ...timing(values.percentage, values.duration),
    ...ports(values.port, values['admin-port']),
    processes: whole('processes', values.processes, 1, MAX_PROCESSES),
    store: storeOf(values.store),
    badAfter: values['bad-after'] === undefined ? null : number('bad-after', values['bad-after'], 0, 86_400),
  }
}

function parse(args: readonly string[]) {
  try {
    return parseArgs({
      args: [...args],
      options: {
        framework: { type: 'string', default: 'express' },
        percentage: { type: 'string' },
        duration: { type: 'string' },
        port: { type: 'string', default: '8000' },
        'admin-port': { type: 'string', default: '8001' },
        processes: { type: 'string', default: '1' },
        store: { type: 'string' },
        'bad-after': { type: 'string' },
        help: { type: 'boolean', default: false },
      },
    }).values
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error)
    // The rest of what Node says of an unknown option is about options that begin with a dash.
    throw new ArgumentError(message.replace(/^(Unknown option '[^']*').*$/s, '$1'))
  }
}

function frameworkOf(text: string): FrameworkName {
  const found = FRAMEWORKS.find((name) => name === text)
  if (found === undefined) throw new ArgumentError(`--framework must be one of ${FRAMEWORKS.join(', ')}, got ${text}`)
  return found
}

function storeOf(url: string | undefined): string | null {
  if (url === undefined || isStoreUrl(url)) return url ?? null
  // What was given is not said: it may hold a password.
  throw new ArgumentError('--store must be a URL such as redis://localhost:6379 or postgres://localhost/postgres')
}

function timing(percentage: string | undefined, duration: string | undefined) {
  if (percentage === undefined) {
    return { percentage: null, duration: number('duration', duration ?? String(RAMP_SECONDS), 1, 86_400) }
  }
  if (duration !== undefined) throw new ArgumentError('--duration is for a ramp: with --percentage there is none')
  const share = number('percentage', percentage, 0, 100)
  if (share > 0 && share < 1) throw new ArgumentError(`--percentage must reach one of 100 buckets, got ${percentage}`)
  return { percentage: share, duration: RAMP_SECONDS }
}

function ports(gateway: string, admin: string) {
  const both = { port: port('port', gateway), adminPort: port('admin-port', admin) }
  if (both.port !== 0 && both.port === both.adminPort) {
    throw new ArgumentError(`--port and --admin-port must differ, got ${both.port} twice`)
  }
  return both
}

function number(name: string, text: string, least: number, most: number): number {
  const value = text.trim() === '' ? Number.NaN : Number(text)
  if (!(value >= least && value <= most))
    throw new ArgumentError(`--${name} must be between ${least} and ${most}, got ${text}`)
  return value
}

function port(name: string, text: string): number {
  return whole(name, text, 0, 65_535)
}

function whole(name: string, text: string, least: number, most: number): number {
  const value = number(name, text, least, most)
  if (!Number.isInteger(value)) throw new ArgumentError(`--${name} must be a whole number, got ${text}`)
  return value
}
