import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { type Server, createServer } from 'node:http'
import { type AddressInfo, connect } from 'node:net'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { WebSocket } from 'ws'

const here = fileURLToPath(new URL('.', import.meta.url))
const readme = readFileSync(join(here, '..', 'README.md'), 'utf8')

interface Block {
  readonly kind: string
  readonly line: number
  readonly code: string
}

/** The code blocks of JavaScript, each under a comment that says how it is run. */
function blocksOf(text: string): Block[] {
  return [...text.matchAll(/(?:<!-- run: (\S+) -->\n)?```js\n([\s\S]*?)```/g)].map((match) => ({
    kind: match[1] ?? 'none',
    line: text.slice(0, match.index).split('\n').length,
    code: match[2] ?? '',
  }))
}

const blocks = blocksOf(readme)
const folder = mkdtempSync(join(here, '.readme-'))
const children: ChildProcess[] = []
const upstreams: Server[] = []

async function startUpstream(name: string): Promise<string> {
  const server = createServer((request, response) => {
    void request.toArray().then((chunks) => response.end(`${name} ${request.url}${Buffer.concat(chunks).toString()}`))
  })
  upstreams.push(server)
  await once(server.listen(0, '127.0.0.1'), 'listening')
  return `127.0.0.1:${(server.address() as AddressInfo).port}`
}

async function freePort(): Promise<number> {
  const server = createServer()
  await once(server.listen(0, '127.0.0.1'), 'listening')
  const { port } = server.address() as AddressInfo
  await new Promise((resolve) => server.close(resolve))
  return port
}

let hosts: readonly [string, string]

beforeAll(async () => {
  hosts = [await startUpstream('A'), await startUpstream('B')]
})

afterAll(() => {
  for (const child of children) child.kill('SIGKILL')
  for (const server of upstreams) server.close()
  rmSync(folder, { recursive: true, force: true })
})

/** Runs a block as a program of its own, as its reader would, with its hosts and its port replaced. */
function run({ code, line }: Block, port: number): { child: ChildProcess; output: () => string } {
  const file = join(folder, `line-${line}.mjs`)
  const real = code
    .replaceAll('orders-v1:3000', hosts[0])
    .replaceAll('orders-v2:3000', hosts[1])
    .replaceAll('8000', String(port))
  writeFileSync(file, real)
  const child = spawn(process.execPath, [file], { cwd: folder, stdio: ['ignore', 'pipe', 'pipe'] })
  children.push(child)
  let text = ''
  const collect = (chunk: Buffer) => {
    text += String(chunk)
  }
  child.stdout.on('data', collect)
  child.stderr.on('data', collect)
  return { child, output: () => text }
}

async function shell(command: string): Promise<{ stdout: string; status: number | null }> {
  const child = spawn('sh', ['-c', command], { stdio: ['ignore', 'pipe', 'inherit'] })
  let stdout = ''
  child.stdout.on('data', (chunk) => {
    stdout += String(chunk)
  })
  const [status] = (await once(child, 'close')) as [number | null]
  return { stdout, status }
}

async function listening(port: number, child: ChildProcess, output: () => string): Promise<void> {
  for (;;) {
    if (child.exitCode !== null) throw new Error(`the program ended: ${output()}`)
    const socket = connect(port, '127.0.0.1')
    const open = await new Promise<boolean>((resolve) => {
      socket.once('connect', () => resolve(true))
      socket.once('error', () => resolve(false))
    })
    socket.destroy()
    if (open) return
    await new Promise((resolve) => {
      setTimeout(resolve, 20)
    })
  }
}

describe('README', () => {
  test('says of each block of code how it is run', () => {
    expect(blocks.length).toBeGreaterThan(10)
    expect(blocks.filter(({ kind }) => kind === 'none')).toEqual([])
  })

  for (const block of blocks.filter(({ kind }) => kind === 'gateway')) {
    test(`line ${block.line}: the gateway sends requests to A or B`, async () => {
      const port = await freePort()
      const { child, output } = run(block, port)
      await listening(port, child, output)
      const response = await fetch(`http://127.0.0.1:${port}/orders/7?x=1`)
      const text = await response.text()
      expect(response.status, output()).toBe(200)
      expect(text).toMatch(/^[AB](?: (?:\/orders)?\/7\?x=1$|: )/)
    })
  }

  for (const block of blocks.filter(({ kind }) => kind === 'raw-body')) {
    test(`line ${block.line}: a body arrives as it came, its digest true`, async () => {
      const port = await freePort()
      const { child, output } = run(block, port)
      await listening(port, child, output)
      const sent: readonly (readonly [string, string])[] = [
        ['application/json', '{ "id": 12345678901234567890 }'],
        ['application/x-www-form-urlencoded', 'user.name=x&a[]=1&a[][b]=2'],
      ]
      for (const [type, body] of sent) {
        const headers = { 'content-type': type, 'content-digest': 'sha-256=:of/its+bytes:' }
        const response = await fetch(`http://127.0.0.1:${port}/orders/7`, { method: 'POST', headers, body })
        expect([response.status, (await response.text()).slice(1)], output()).toEqual([200, ` /7${body}`])
      }
    })
  }

  for (const block of blocks.filter(({ kind }) => kind === 'upgrades')) {
    test(`line ${block.line}: an upgrade passes the application's authentication`, async () => {
      const port = await freePort()
      const { child, output } = run(block, port)
      await listening(port, child, output)
      const socket = connect(port, '127.0.0.1')
      socket.write('GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n')
      const [head] = (await once(socket, 'data')) as [Buffer]
      expect(String(head)).toMatch(/^HTTP\/1\.1 401 /)
      socket.destroy()
    })
  }

  for (const block of blocks.filter(({ kind }) => kind === 'own-upgrades')) {
    test(`line ${block.line}: the canary has its upgrades, and the application its own`, async () => {
      const port = await freePort()
      const { child, output } = run(block, port)
      await listening(port, child, output)
      const own = new WebSocket(`ws://127.0.0.1:${port}/own`)
      expect(String((await once(own, 'message'))[0])).toBe('hello')
      own.terminate()
      // The upstreams here know no WebSocket: what counts is that one of them was asked.
      const socket = connect(port, '127.0.0.1')
      socket.write('GET /orders/7 HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n')
      let text = ''
      for await (const chunk of socket) text += String(chunk)
      expect(text).toMatch(/^HTTP\/1\.1 200 [^]*[AB] \/7/)
      expect(output()).toBe('')
    })
  }

  for (const block of blocks.filter(({ kind }) => kind === 'registry')) {
    test(`line ${block.line}: the gateway is operated by the commands that follow`, async () => {
      const [port, adminPort] = [await freePort(), await freePort()]
      const { child, output } = run({ ...block, code: block.code.replace('8001', String(adminPort)) }, port)
      await listening(port, child, output)
      const commands = /<!-- run: curl -->\n```sh\n([\s\S]*?)```/.exec(readme)?.[1] ?? ''
      const lines = commands.split('\n').filter((line) => line.startsWith('curl '))
      expect(lines.length).toBeGreaterThan(10)
      const portOfB = hosts[1].split(':')[1]
      const served: string[] = []
      for (const line of lines) {
        const real = line
          .replaceAll('localhost:8001', `localhost:${adminPort}`)
          .replaceAll('orders-v1:3000', hosts[0])
          .replaceAll('upstream_host=orders-v2', `upstream_host=127.0.0.1 --data config.upstream_port=${portOfB}`)
        const { stdout, status } = await shell(`${real} --silent --show-error --fail-with-body`)
        expect([line, status, stdout]).toEqual([line, 0, expect.stringMatching(/^[{[]/)])
        served.push((await (await fetch(`http://127.0.0.1:${port}/orders/7`)).text()).slice(0, 1))
      }
      // From the rollback on nobody is on B, from the promotion on everybody is, and finalizing keeps it so.
      const at = (word: string) => lines.findIndex((line) => line.includes(word))
      expect(served[at('/rollback')]).toBe('A')
      expect(served.slice(at('/promote'))).toEqual(['B', 'B', 'B', 'B'])
    })
  }

  for (const block of blocks.filter(({ kind }) => kind === 'admin')) {
    test(`line ${block.line}: the Admin API asks for its token`, async () => {
      const port = await freePort()
      const { child, output } = run(block, port)
      await listening(port, child, output)
      const url = `http://127.0.0.1:${port}/canary-admin/canaries`
      expect((await fetch(url)).status).toBe(401)
      expect((await fetch(url, { headers: { authorization: 'Bearer a-long-random-text' } })).status).toBe(200)
    })
  }

  const SERVERS = new Set(['gateway', 'raw-body', 'upgrades', 'own-upgrades', 'registry', 'admin', 'none'])
  for (const block of blocks.filter(({ kind }) => !SERVERS.has(kind))) {
    test(`line ${block.line}: the program runs to its end (${block.kind})`, async () => {
      const { child, output } = run(block, 0)
      const [code] = (await once(child, 'close')) as [number | null]
      expect(code, output()).toBe(0)
      if (block.kind === 'declarative') expect(output()).toBe('10\n_format_version: "3.0"\n')
      if (block.kind === 'skipped') {
        // What it prints stands below it, as comments.
        const said = block.code
          .split('\n')
          .filter((line) => line.startsWith('// '))
          .map((line) => line.slice(3))
        expect(output().trim().split('\n')).toEqual(said)
      }
      if (block.kind === 'state') expect(output()).toContain('rolled-back')
      if (block.kind === 'decision') expect(output()).toContain("hashedBy: 'consumer'")
      if (block.kind === 'guard') expect(output()).toContain("verdict: 'blind'")
    })
  }

  test('has a line for each error code', () => {
    const errors = readFileSync(join(here, '..', 'packages', 'core', 'src', 'errors.ts'), 'utf8')
    const codes = new Set([...errors.matchAll(/ERR_CANARY_[A-Z_]+/g)].map(([code]) => code))
    expect(codes.size).toBe(16)
    for (const code of codes) expect(readme).toContain(`| \`${code}\``)
  })

  test('points only to headings that are there', () => {
    const anchors = [...readme.matchAll(/^#+ (.+)$/gm)].map(([, heading = '']) =>
      heading
        .toLowerCase()
        .replaceAll(/[^\w\- ]/g, '')
        .replaceAll(' ', '-'),
    )
    for (const [, target = ''] of readme.matchAll(/\]\(#([^)]+)\)/g)) expect(anchors).toContain(target)
  })
})
