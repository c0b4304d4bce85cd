import { type IncomingHttpHeaders, type OutgoingHttpHeaders, request as httpRequest } from 'node:http'
import type { Echo } from './upstream.js'

export interface Answered {
  readonly status: number
  readonly headers: IncomingHttpHeaders
  readonly trailers: NodeJS.Dict<string>
  readonly text: string
  /** The response ended as its framing says. */
  readonly whole: boolean
  /** Interim responses before it. */
  readonly interim: number[]
}

export interface Asked {
  readonly method?: string
  readonly headers?: OutgoingHttpHeaders
  readonly body?: string | Buffer
  /** As it stands in the request line, where that is no path. */
  readonly path?: string
}

/** One request on a connection of its own. */
export function ask(url: string, { method = 'GET', headers = {}, body, path }: Asked = {}): Promise<Answered> {
  return new Promise((resolve, reject) => {
    const { hostname, port, pathname, search } = new URL(url)
    const request = httpRequest({ hostname, port, path: path ?? pathname + search, method, headers, agent: false })
    const interim: number[] = []
    request.on('information', ({ statusCode }) => interim.push(statusCode))
    request.on('error', reject)
    request.on('response', (response) => {
      let text = ''
      response.setEncoding('latin1')
      response.on('data', (chunk: string) => {
        text += chunk
      })
      response.on('error', () => {})
      response.on('close', () => {
        const { statusCode = 0, headers: answered, trailers, complete } = response
        resolve({ status: statusCode, headers: answered, trailers, text, whole: complete, interim })
      })
    })
    request.end(body)
  })
}

/** What the upstream saw. */
export async function echoOf(url: string, asked: Asked = {}): Promise<Echo> {
  const { status, text } = await ask(url, asked)
  if (status !== 200) throw new Error(`${status}: ${text}`)
  return JSON.parse(text) as Echo
}
