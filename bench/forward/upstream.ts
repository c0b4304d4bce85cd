// The upstreams where nginx is not installed: `node upstream.js <port> <port>`.
import { createServer } from 'node:http'
import { SIZES } from './programs.js'

const bodies = new Map(Object.entries(SIZES).map(([path, size]) => [path, Buffer.alloc(size, 'x')]))
const small = Buffer.alloc(56, 'x')

for (const port of process.argv.slice(2)) {
  createServer((request, response) => {
    const body = bodies.get(request.url ?? '') ?? small
    response.setHeader('content-type', 'text/plain')
    if (request.method !== 'POST') return void response.end(body)
    return void request.resume().on('end', () => response.end(body))
  }).listen(Number(port), '127.0.0.1', 4096)
}
