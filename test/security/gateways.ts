import { createServer } from 'node:http'
import { type Socket, connect } from 'node:net'
import { attachUpgrades, createHandler } from '@canary-release/core/node'
import { GATEWAYS as FRAMEWORKS, type Gateway, type GatewayOptions, optionsFor, serving } from '../faults/gateways.js'

export { type Gateway, type GatewayOptions, optionsFor, serving }

/** The three adapters and bare `node:http`, forwarding everything. */
export const GATEWAYS: Record<string, (options: GatewayOptions) => Promise<Gateway>> = {
  ...FRAMEWORKS,
  async node(options) {
    const handler = createHandler(options)
    const server = createServer((request, response) => void handler(request, response))
    attachUpgrades(server, handler)
    return serving(server, handler.close)
  },
}

/** Writes bytes on a connection of its own and returns all that came back until the gateway closed it. */
export async function sendRaw(port: number, bytes: string): Promise<string> {
  const socket: Socket = connect(port, '127.0.0.1')
  let text = ''
  socket.on('data', (chunk) => (text += chunk.toString('latin1')))
  // A reset is an end too: what a gateway does not want to read, it may leave unread.
  socket.on('error', () => {})
  const closed = new Promise((resolve) => socket.on('close', resolve))
  socket.write(bytes, 'latin1')
  await closed
  return text
}

/** The status of each response in a text; interim ones left out. */
export function statusesOf(text: string): number[] {
  return [...text.matchAll(/HTTP\/1\.1 ([2-5]\d\d) /g)].map(([, status]) => Number(status))
}
