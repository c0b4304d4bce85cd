import { parseArgs } from 'node:util'

export const FRAMEWORKS = ['express', 'koa', 'fastify'] as const
export type FrameworkName = (typeof FRAMEWORKS)[number]

/** What the demo is asked to do. Ports 0 … 65535 (0: any free one), times in seconds. */
export interface DemoArguments {
  readonly framework: FrameworkName
  /** A fixed share instead of a ramp; `null`: a ramp. */
  readonly percentage: number | null
  readonly duration: number
  readonly port: number
  readonly adminPort: number
  /** When B begins to fail 5 % of its requests; `null`: never. */
  readonly badAfter: number | null
}

export const HELP = `Shows a canary release: upstreams A and B, a gateway, and the traffic of 200 consumers.

npm start                              0 to 100 % on B in a minute, on Express
npm start -- --framework koa           or express, fastify
npm start -- --percentage 10           a fixed share instead
npm start -- --duration 300            seconds from 0 to 100 %
npm start -- --bad-after 20            B fails 5 % of its requests from then on: the guard rolls it back
npm start -- --port 8080               where the gateway listens (8000)
npm start -- --admin-port 8081         where the Admin API listens (8001)
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
    percentage: values.percentage === undefined ? null : number('percentage', values.percentage, 0, 100),
    duration: number('duration', values.duration, 1, 86_400),
    port: port('port', values.port),
    adminPort: port('admin-port', values['admin-port']),
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
        duration: { type: 'string', default: '60' },
        port: { type: 'string', default: '8000' },
        'admin-port': { type: 'string', default: '8001' },
        'bad-after': { type: 'string' },
        help: { type: 'boolean', default: false },
      },
    }).values
  } catch (error) {
    throw new ArgumentError(error instanceof Error ? error.message : String(error))
  }
}

function frameworkOf(text: string): FrameworkName {
  const found = FRAMEWORKS.find((name) => name === text)
  if (found === undefined) throw new ArgumentError(`--framework must be one of ${FRAMEWORKS.join(', ')}, got ${text}`)
  return found
}

function number(name: string, text: string, least: number, most: number): number {
  const value = text.trim() === '' ? Number.NaN : Number(text)
  if (!(value >= least && value <= most))
    throw new ArgumentError(`--${name} must be between ${least} and ${most}, got ${text}`)
  return value
}

function port(name: string, text: string): number {
  const value = number(name, text, 0, 65_535)
  if (!Number.isInteger(value)) throw new ArgumentError(`--${name} must be a whole number, got ${text}`)
  return value
}
