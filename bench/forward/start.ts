import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { type AddressInfo, connect, createServer } from 'node:net'
import { fileURLToPath } from 'node:url'
import { haproxyConfiguration, isInstalled, nginxConfiguration, upstreamConfiguration } from './programs.js'

/** A program on one core, ended by its process id. */
export interface Pinned {
  readonly child: ChildProcess
  readonly pid: number
  stop(): Promise<void>
}

function pin(core: number, program: string, args: readonly string[]): Pinned {
  const child = spawn('taskset', ['-c', String(core), program, ...args], {
    stdio: ['ignore', 'pipe', 'ignore'],
    env: { ...process.env, NODE_ENV: 'production' },
  })
  const ended = once(child, 'close')
  const { pid } = child
  if (pid === undefined) throw new Error(`${program} did not start`)
  return {
    child,
    pid,
    stop: async () => {
      child.kill('SIGKILL')
      await ended
    },
  }
}

const ownProgram = (name: string) => fileURLToPath(new URL(`${name}.js`, import.meta.url))

/** Two upstreams on core 1. */
export async function startUpstreams(folder: string): Promise<{ upstreams: Pinned; ports: [number, number] }> {
  const ports: [number, number] = [await freePort(), await freePort()]
  const upstreams = isInstalled('nginx')
    ? pin(1, 'nginx', ['-c', upstreamConfiguration(folder, ports), '-p', folder])
    : pin(1, process.execPath, [ownProgram('upstream'), ...ports.map(String)])
  for (const port of ports) await accepting(port, upstreams.child)
  return { upstreams, ports }
}

/** A gateway on core 0, by its name in `peers.ts`. */
export async function startGateway(
  name: string,
  folder: string,
  ports: readonly [number, number],
): Promise<{ gateway: Pinned; port: number }> {
  if (name === 'nginx' || name === 'haproxy') {
    const port = await freePort()
    const isNginx = name === 'nginx'
    const file = (isNginx ? nginxConfiguration : haproxyConfiguration)(folder, port, ports)
    const gateway = pin(0, name, isNginx ? ['-c', file, '-p', folder] : ['-f', file, '-db'])
    await accepting(port, gateway.child)
    return { gateway, port }
  }
  const urls = ports.map((port) => `http://127.0.0.1:${port}`)
  const gateway = pin(0, process.execPath, [ownProgram('gateway'), name, ...urls])
  const port = await new Promise<number>((resolve, reject) => {
    gateway.child.stdout?.once('data', (chunk) => resolve(Number(chunk)))
    gateway.child.once('close', () => reject(new Error(`${name} did not start`)))
  })
  gateway.child.stdout?.resume()
  return { gateway, port }
}

async function freePort(): Promise<number> {
  const server = createServer()
  await once(server.listen(0, '127.0.0.1'), 'listening')
  const { port } = server.address() as AddressInfo
  await new Promise((resolve) => server.close(resolve))
  return port
}

async function accepting(port: number, child: ChildProcess): Promise<void> {
  for (;;) {
    if (child.exitCode !== null) throw new Error(`a program ended before it listened on ${port}`)
    const socket = connect(port, '127.0.0.1')
    const open = await new Promise<boolean>((resolve) => {
      socket.once('connect', () => resolve(true)).once('error', () => resolve(false))
    })
    socket.destroy()
    if (open) return
    await new Promise((resolve) => setTimeout(resolve, 20))
  }
}
