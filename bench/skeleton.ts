// What forwarding costs beside the least a proxy on undici can do: both in one process, loaded in turn a second at a
// time, so that whatever else the machine does hits both. Needs wrk, nginx and taskset.
//
// npm run build && node bench/dist/skeleton.js [slices]
import type { RequestListener } from 'node:http'
import { createHandler } from '@canary-release/core/node'
import { Pool } from 'undici'
import { UPSTREAM, measureInTurn, printInTurn, serveInTurn } from './in-turn.js'

const HOP_BY_HOP = new Set(['connection', 'keep-alive', 'transfer-encoding'])

/** A proxy without limits, health, retries, aborts, X-Forwarded-*, or a look at the path. */
function skeleton(): RequestListener {
  const pool = new Pool(UPSTREAM, { connections: 256 })
  return (request, response) => {
    delete request.headers.connection
    const { url = '/', method = 'GET', headers } = request
    pool.dispatch(
      { path: url, method, headers },
      {
        onConnect: () => {},
        onHeaders(status, raw) {
          for (let i = 0; i + 1 < raw.length; i += 2) {
            const name = String(raw[i]).toLowerCase()
            if (!HOP_BY_HOP.has(name)) response.setHeader(name, String(raw[i + 1]))
          }
          response.writeHead(status)
          return true
        },
        onData: (chunk) => response.write(chunk),
        onComplete: () => void response.end(),
        onError: () => void response.destroy(),
      },
    )
  }
}

const upstreams = { A: UPSTREAM, B: UPSTREAM }
if (process.argv.includes('--serve')) {
  serveInTurn([skeleton(), createHandler({ name: 'bench', upstreams, percentage: 50, hash: 'ip' })])
} else {
  const slices = Number(process.argv[2] ?? 20)
  printInTurn(['skeleton', 'ours'], await measureInTurn(2, slices, [import.meta.filename, '--serve']))
}
