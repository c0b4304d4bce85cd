import type { AddressInfo } from 'node:net'
import { once } from 'node:events'
import { IncomingMessage, type RequestListener, type Server, ServerResponse, createServer } from 'node:http'
import { setFlagsFromString } from 'node:v8'
import { createServer as createExpressServer } from '@canary-release/express'
import express from 'express'
import { expect, test } from 'vitest'

setFlagsFromString('--allow-natives-syntax')
const hasFastProperties = new Function('object', 'return %HasFastProperties(object)') as (object: object) => boolean

interface Seen {
  readonly fast: readonly [request: boolean, response: boolean]
  readonly instances: readonly [request: boolean, response: boolean]
}

/** What the requests and responses of a server are; asked for more often than V8 needs to learn their size. */
async function seenOf(serve: (listener: RequestListener) => Server): Promise<Seen | undefined> {
  let seen: Seen | undefined
  const server = serve((request, response) => {
    seen = {
      fast: [hasFastProperties(request), hasFastProperties(response)],
      instances: [request instanceof IncomingMessage, response instanceof ServerResponse],
    }
    response.end()
  })
  await once(server.listen(0, '127.0.0.1'), 'listening')
  const { port } = server.address() as AddressInfo
  for (let i = 0; i < 20; i += 1) await (await fetch(`http://127.0.0.1:${port}`)).text()
  server.close()
  server.closeAllConnections()
  return seen
}

const expressApp = (listener: RequestListener) => {
  const app = express()
  app.use(listener)
  return app
}

test("createServer's requests and responses are objects with fixed places, as Node's own are", async () => {
  const own = await seenOf((listener) => createServer(listener))
  expect(own).toEqual({ fast: [true, true], instances: [true, true] })
  expect(await seenOf((listener) => createExpressServer(expressApp(listener)))).toEqual(own)
})
