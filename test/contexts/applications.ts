import { once } from 'node:events'
import { type IncomingMessage, type Server, type ServerResponse, createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import type { Release } from '@canary-release/core'
import { attachUpgrades, createHandler } from '@canary-release/core/node'
import * as forExpress from '@canary-release/express'
import { canary as fastifyCanary, canaryDecision } from '@canary-release/fastify'
import * as forKoa from '@canary-release/koa'
import express from 'express'
import express4 from 'express4'
import Fastify from 'fastify'
import Koa from 'koa'
import Koa2 from 'koa2'
import { type Ledger, idOf, users } from './ledger.js'

/** An application that authenticates, has a canary and handles errors; all of it notes whose request it runs for. */
export interface Application {
  readonly port: number
  /** Closes the canary, and with it what is under way. */
  closeCanary(): Promise<unknown>
  close(): Promise<void>
}

export interface Setup {
  readonly release: Release
  readonly ledger: Ledger
  /** The canary only decides, and the application answers. */
  readonly rewrites?: boolean
}

export type Start = (setup: Setup) => Promise<Application>

async function listening(server: Server, closeCanary: () => Promise<unknown>): Promise<Application> {
  await once(server.listen(0, '127.0.0.1'), 'listening')
  return {
    port: (server.address() as AddressInfo).port,
    closeCanary,
    close: async () => {
      await closeCanary()
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}

function startExpress(create: typeof express): Start {
  return ({ release, ledger }) => {
    const app = create()
    app.use((request, response, next) => {
      users.run({ id: idOf(request) }, () => {
        ledger.watch(request, response)
        next()
      })
    })
    const middleware = forExpress.canary(release)
    app.use(middleware)
    app.use((request, response) => {
      ledger.noteForLong('answer', idOf(request))
      setTimeout(() => response.end('answered'), 2)
    })
    const errors: express.ErrorRequestHandler = (error, request, response, _next) => {
      ledger.noteForLong('error handler', idOf(request))
      response.status(error.status ?? 500).send(String(error.code))
    }
    app.use(errors)
    return listening(forExpress.createServer(app), () => middleware.close(0))
  }
}

function startKoa(Application: typeof Koa, through = false): Start {
  return ({ release, ledger }) => {
    const app = new Application()
    app.silent = true
    app.use(async (context, next) => {
      try {
        await next()
        ledger.note('after next', idOf(context.req), 'outside')
      } catch (error) {
        ledger.note('error handler', idOf(context.req), 'outside')
        const { status = 500, code } = error as { status?: number; code?: string }
        context.status = status
        context.body = String(code)
      }
    })
    const middleware = forKoa.canary(release as never, { through })
    app.use(middleware as never)
    app.use(async (context) => {
      ledger.noteForLong('answer', idOf(context.req))
      await new Promise((resolve) => setTimeout(resolve, 2))
      context.body = 'answered'
    })
    // Koa answers behind all middlewares: a store of one of them would be none for what it does then.
    const callback = () => {
      const listener = app.callback()
      return (request: IncomingMessage, response: ServerResponse) =>
        users.run({ id: idOf(request) }, () => {
          ledger.watch(request, response)
          return listener(request, response)
        })
    }
    return listening(forKoa.createServer({ callback }), () => middleware.close(0))
  }
}

const startFastify: Start = async ({ release, ledger, rewrites }) => {
  const app = Fastify({ forceCloseConnections: true })
  app.setErrorHandler((error: Error & { statusCode?: number; code?: string }, request, reply) => {
    ledger.noteForLong('error handler', idOf(request))
    return reply.code(error.statusCode ?? 500).send(String(error.code))
  })
  app.addHook('onRequest', (request, reply, done) => {
    users.run({ id: idOf(request) }, () => {
      ledger.watch(request.raw, reply.raw)
      done()
    })
  })
  app.addHook('onError', (request, _reply, _error, done) => {
    ledger.note('onError', idOf(request))
    done()
  })
  app.addHook('onSend', (request, _reply, _payload, done) => {
    ledger.note('onSend', idOf(request))
    done()
  })
  app.addHook('onResponse', (request, reply, done) => {
    if (reply.raw.writableFinished) ledger.noteForLong('onResponse', idOf(request))
    else ledger.leave(idOf(request))
    done()
  })
  await app.register(rewrites === true ? canaryDecision : fastifyCanary, { release, graceMs: 0 })
  if (rewrites === true) {
    app.all('/*', (request, reply) => {
      ledger.noteForLong('answer', idOf(request))
      setTimeout(() => reply.send('answered'), 2)
    })
  }
  await app.listen({ port: 0, host: '127.0.0.1' })
  const { port } = app.server.address() as AddressInfo
  return { port, closeCanary: () => app.close(), close: () => app.close() }
}

const startNode: Start = ({ release, ledger }) => {
  const handler = createHandler(release)
  const listener = (request: IncomingMessage, response: ServerResponse) => {
    users.run({ id: idOf(request) }, () => {
      const id = ledger.watch(request, response)
      handler(request, response, (error) => {
        if (error === undefined) {
          ledger.noteForLong('answer', id)
          return void setTimeout(() => response.end('answered'), 2)
        }
        ledger.noteForLong('error handler', id)
        const { status = 500, code } = error as { status?: number; code?: string }
        response.writeHead(status).end(String(code))
      })
    })
  }
  const server = createServer(listener)
  attachUpgrades(server, listener)
  return listening(server, () => handler.close(0))
}

export const APPLICATIONS: Record<string, Start> = {
  'Express 4': startExpress(express4 as unknown as typeof express),
  'Express 5': startExpress(express),
  'Koa 2': startKoa(Koa2 as unknown as typeof Koa),
  'Koa 3': startKoa(Koa),
  'Koa 3, through it': startKoa(Koa, true),
  'Fastify 5': startFastify,
  'node:http': startNode,
}
