import { type Agent, request } from 'node:http'
import { listenAdmin } from '@canary-release/admin'
import {
  type Registry,
  type RegistryOptions,
  type Store,
  createRegistry,
  memoryStore,
} from '@canary-release/core/registry'
import supertest, { type Test } from 'supertest'
import { z } from 'zod'
import { createContract } from './contract.js'

/** A body as it goes: JSON, a form, or text of any type. */
export interface Sent {
  readonly json?: unknown
  /** Pairs as `curl --data` joins them, not encoded. */
  readonly form?: readonly string[]
  readonly text?: string | Buffer
  readonly headers?: Readonly<Record<string, string>>
  /** @default a connection of its own */
  readonly agent?: Agent
}

export interface Received {
  readonly status: number
  readonly headers: Readonly<Record<string, string>>
  /** The JSON that came; `null` for nothing. */
  readonly body: unknown
}

/** Sends one request. */
export function send(url: string, method: string, path: string, sent: Sent = {}): Promise<Received> {
  const [type, body] = encoded(sent)
  const headers = {
    ...(type === null ? {} : { 'content-type': type }),
    // Node frames the body of a DELETE only where it is told its length.
    ...(body === null || sent.headers?.['transfer-encoding'] ? {} : { 'content-length': Buffer.byteLength(body) }),
    ...sent.headers,
  }
  return new Promise((resolve, reject) => {
    const base = new URL(url)
    const outgoing = request(
      { host: base.hostname, port: base.port, path, method, headers, agent: sent.agent ?? false },
      (incoming) => {
        const chunks: Buffer[] = []
        incoming.on('data', (chunk: Buffer) => chunks.push(chunk)).on('error', reject)
        incoming.on('end', () => {
          const text = Buffer.concat(chunks).toString()
          const found = Object.entries(incoming.headers).map(([name, value]) => [name, String(value)])
          resolve({
            status: incoming.statusCode ?? 0,
            headers: Object.fromEntries(found),
            body: jsonOf(text),
          })
        })
      },
    )
    outgoing.on('error', reject)
    outgoing.end(body ?? undefined)
  })
}

/** The JSON of an answer; text that is none as it is. */
function jsonOf(text: string): unknown {
  try {
    return text === '' ? null : JSON.parse(text)
  } catch {
    return text
  }
}

function encoded({ json, form, text }: Sent): [type: string | null, body: string | Buffer | null] {
  if (json !== undefined) return ['application/json', JSON.stringify(json)]
  if (form === undefined) return [null, text ?? null]
  const pairs = form.map((pair) => pair.split(/=(.*)/s).slice(0, 2).map(encodeURIComponent).join('='))
  return ['application/x-www-form-urlencoded', pairs.join('&')]
}

export type Call = (method: string, path: string, sent?: Sent) => Promise<Received>

type Headers = Readonly<Record<string, string>>

/** A client that holds each answer against the server's own document. */
export async function contracted(url: string, prefix = '', headers: Headers = {}): Promise<Call> {
  return callOf(url, await contractAt(url, prefix, headers), prefix, headers)
}

async function contractAt(url: string, prefix: string, headers: Headers) {
  const { body: document } = await send(url, 'GET', `${prefix}/openapi.json`, { headers })
  return createContract(document)
}

type Check = ReturnType<typeof createContract>

function callOf(url: string, check: Check, prefix: string, headers: Headers): Call {
  return async (method, path, sent = {}) => {
    const received = await send(url, method, `${prefix}${path}`, { ...sent, headers: { ...headers, ...sent.headers } })
    check({ method, path, sent: sent.json, ...received })
    return received
  }
}

const METHODS = ['get', 'post', 'put', 'patch', 'delete', 'options'] as const

/** Requests of supertest, one function for each method: `request.get('/services').expect(200)`. */
export type Requests = Readonly<Record<(typeof METHODS)[number], (path: string) => Test>>

/** The same check for supertest, which is for one request and its answer. Paths that URLs do not have need {@link Call}. */
function requestsOf(url: string, check: Check, headers: Headers): Requests {
  const agent = supertest(url)
  const functions = METHODS.map((method) => [
    method,
    (path: string) => {
      const test = agent[method](path).set(headers)
      return test.expect(({ status, headers: received, text }) => {
        const { data } = test.toJSON() as { readonly data?: unknown }
        const sent = typeof data === 'object' ? data : undefined
        check({ method: method.toUpperCase(), path, sent, status, headers: received, body: jsonOf(text) })
      })
    },
  ])
  return Object.fromEntries(functions)
}

type Options = Partial<Parameters<typeof listenAdmin>[0]> & {
  readonly store?: Store
  readonly clock?: () => number
  readonly guard?: RegistryOptions['guard']
  readonly changeTimeoutMs?: number
}

export interface OpenAdmin extends AsyncDisposable {
  readonly url: string
  readonly registry: Registry
  readonly call: Call
  readonly request: Requests
  readonly logged: readonly string[]
}

/** An Admin API on a port of its own, with a registry in memory, or on another store. */
export async function openAdmin(given: Options = {}): Promise<OpenAdmin> {
  const { store = memoryStore(), clock, guard, changeTimeoutMs, ...options } = given
  const logged: string[] = []
  const log = (message: string) => void logged.push(message)
  const logger = { info() {}, warn: log, error: log }
  const registry = await createRegistry({ store, logger, clock, guard, changeTimeoutMs })
  const { url, close } = await listenAdmin({ registry, port: 0, logger, ...options })
  const token = options.token === undefined ? {} : { authorization: `Bearer ${options.token}` }
  const check = await contractAt(url, '', token)
  return {
    url,
    registry,
    call: callOf(url, check, '', token),
    request: requestsOf(url, check, token),
    logged,
    async [Symbol.asyncDispose]() {
      await close()
      await registry.close()
    },
  }
}

const record = z.looseObject({ id: z.string() })
const list = z.looseObject({ data: z.array(record), next: z.string().nullable(), offset: z.string().optional() })

/** A record out of an answer. */
export function recordOf({ body }: Pick<Received, 'body'>): z.output<typeof record> {
  return record.parse(body)
}

export function listOf({ body }: Pick<Received, 'body'>): z.output<typeof list> {
  return list.parse(body)
}
