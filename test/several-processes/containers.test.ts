import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { type Server, type ServerResponse, createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterEach, describe, expect, test } from 'vitest'
import { parseAllDocuments } from 'yaml'
import { parseDeclarative } from '@canary-release/core/registry'
import { startPostgres } from '../servers/postgres.js'
import { endProcess, freePorts, until } from '../servers/processes.js'
import { startRedis } from '../servers/redis.js'
import { requireBinary } from '../servers/requirement.js'

const root = fileURLToPath(new URL('../..', import.meta.url))
const dockerfile = readFileSync(join(root, 'examples/docker/Dockerfile'), 'utf8')
const manifest = readFileSync(join(root, 'examples/kubernetes/gateway.yaml'), 'utf8')
const program = readFileSync(join(root, 'examples/docker/gateway.ts'), 'utf8')

const closing: (() => unknown)[] = []
afterEach(async () => {
  for (const close of closing.splice(0).toReversed()) await close()
})

/** What the last stage of the Dockerfile says, one instruction a line. */
function instructions(name: string): string[] {
  const last = dockerfile.slice(dockerfile.lastIndexOf('\nFROM ') + 1)
  return [...last.matchAll(/^([A-Z]+) (.*)$/gm)].flatMap(([, found, text = '']) => (found === name ? [text] : []))
}

const command: string[] = JSON.parse(instructions('CMD')[0] ?? '')
const GRACE_SECONDS = Number(/GRACE_MS = ([\d_]+)/.exec(program)?.[1]?.replace('_', '')) / 1000

describe('the Dockerfile', () => {
  test('runs node itself, as a user that may change nothing', () => {
    expect(command[0]).toBe('node')
    expect(instructions('ENTRYPOINT')).toEqual([])
    expect(instructions('USER')).toEqual(['node'])
    expect(instructions('COPY').join()).not.toContain('--chown')
    expect(existsSync(join(root, command[1] ?? ''))).toBe(true)
  })

  test('names the ports that the program listens on, and a Node that is supported', () => {
    const ports = [...program.matchAll(/PORT = '(\d+)'/g)].map(([, port]) => port)
    expect(instructions('EXPOSE')).toEqual([ports.join(' ')])
    for (const [, version] of dockerfile.matchAll(/^FROM node:(\d+)-slim/gm)) expect(['22', '24']).toContain(version)
  })

  test('copies the sources and builds them anew', () => {
    const ignored = readFileSync(join(root, 'examples/docker/Dockerfile.dockerignore'), 'utf8').trim().split('\n')
    expect(ignored).toEqual(['.git', '**/node_modules', '**/dist'])
    const scripts = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')).scripts
    for (const [, script = ''] of dockerfile.matchAll(/^RUN npm run (\S+)$/gm)) expect(scripts).toHaveProperty(script)
  })
})

describe('the manifest for Kubernetes', () => {
  const documents = parseAllDocuments(manifest).map((document) => {
    expect(document.errors).toEqual([])
    return document.toJS()
  })
  const of = (kind: string) => documents.find((document) => document.kind === kind)
  const deployment = of('Deployment').spec
  const pod = deployment.template.spec
  const [container] = pod.containers
  const env = new Map<string, { name: string; value?: string; valueFrom?: object }>(
    container.env.map((each: { name: string }) => [each.name, each]),
  )

  test('has two gateways that are replaced one after another, and never all at once', () => {
    expect(documents.map(({ kind }) => kind)).toEqual(['ConfigMap', 'Deployment', 'Service', 'PodDisruptionBudget'])
    expect(deployment.replicas).toBe(2)
    expect(deployment.strategy.rollingUpdate).toEqual({ maxSurge: 1, maxUnavailable: 0 })
    const labels = deployment.template.metadata.labels
    expect(deployment.selector.matchLabels).toEqual(labels)
    expect(of('Service').spec.selector).toEqual(labels)
    expect(of('PodDisruptionBudget').spec).toEqual({ minAvailable: 1, selector: { matchLabels: labels } })
    expect(pod.topologySpreadConstraints[0].labelSelector.matchLabels).toEqual(labels)
  })

  test('runs what the image runs, on its ports, and asks for its status', () => {
    expect(container.command).toEqual(command)
    const ports = new Map(container.ports.map((port: { name: string; containerPort: number }) => [port.name, port]))
    expect([...ports.values()]).toEqual([
      { name: 'http', containerPort: Number(/\bPORT = '(\d+)'/.exec(program)?.[1]) },
      { name: 'operators', containerPort: Number(/ADMIN_PORT = '(\d+)'/.exec(program)?.[1]) },
    ])
    for (const probe of [container.readinessProbe, container.livenessProbe]) {
      expect(probe.httpGet).toEqual({ path: '/status', port: 'operators' })
    }
    expect(program).toContain("get('/status'")
    expect(of('Service').spec.ports).toEqual([{ name: 'http', port: 80, targetPort: 'http' }])
  })

  test('leaves time for requests that are under way', () => {
    const [name, seconds] = container.lifecycle.preStop.exec.command
    expect(name).toBe('sleep')
    expect(GRACE_SECONDS).toBeGreaterThan(0)
    // What is left is for closing the registry, whose last change has 2 s.
    expect(pod.terminationGracePeriodSeconds).toBeGreaterThanOrEqual(Number(seconds) + GRACE_SECONDS + 10)
  })

  test('says all that the program reads, secrets by their names only, and mounts where it says so', () => {
    const [, read = ''] = /const \{([^}]+)\} = process\.env/.exec(program) ?? []
    const variables = [...read.matchAll(/\b([A-Z_]+)\b/g)].map(([, name = '']) => name)
    expect([...env.keys()].filter((name) => !variables.includes(name))).toEqual([])
    expect(variables.filter((name) => !env.has(name))).toEqual(['PORT', 'ADMIN_PORT'])
    for (const [name, key] of [
      ['STORE', 'store'],
      ['ADMIN_TOKEN', 'admin-token'],
    ] as const) {
      expect(env.get(name)).toEqual({ name, valueFrom: { secretKeyRef: { name: 'canary-gateway', key } } })
      expect(manifest).toContain(`--from-literal=${key}=`)
    }
    for (const name of ['INITIAL', 'CACHE']) {
      const path = env.get(name)?.value ?? ''
      expect(
        container.volumeMounts.filter((mount: { mountPath: string }) => path.startsWith(mount.mountPath)),
      ).toHaveLength(1)
    }
    const volumes = pod.volumes.map(({ name }: { name: string }) => name)
    expect(container.volumeMounts.map(({ name }: { name: string }) => name)).toEqual(volumes)
  })

  test('begins with a file that can be read', async () => {
    const { data } = of('ConfigMap')
    const file = (env.get('INITIAL')?.value ?? '').split('/').at(-1) ?? ''
    const { bodies } = await parseDeclarative(data[file])
    expect(bodies.map(({ kind }) => kind)).toEqual(['services', 'plugins'])
  })

  test('asks for no rights', () => {
    expect(pod.automountServiceAccountToken).toBe(false)
    expect(pod.securityContext).toMatchObject({ runAsNonRoot: true, runAsUser: 1000 })
    expect(container.securityContext).toEqual({
      allowPrivilegeEscalation: false,
      readOnlyRootFilesystem: true,
      capabilities: { drop: ['ALL'] },
    })
  })
})

interface Upstream {
  readonly port: number
  /** Answers that wait until the test gives them. */
  readonly held: ServerResponse[]
}

async function upstream(): Promise<Upstream> {
  const held: ServerResponse[] = []
  const server: Server = createServer((request, response) => {
    if (request.url?.endsWith('/slow') === true) held.push(response)
    else response.end(`served ${request.url}`)
  })
  await once(server.listen(0, '127.0.0.1'), 'listening')
  closing.push(() => {
    server.close()
    server.closeAllConnections()
  })
  return { port: (server.address() as AddressInfo).port, held }
}

interface Container {
  readonly child: ChildProcess
  readonly said: () => string
  readonly url: string
  readonly operators: string
}

/** Runs the command of the Dockerfile as in a container. */
function container(env: NodeJS.ProcessEnv, [port = 0, adminPort = 0]: readonly number[]): Container {
  const [, ...args] = command
  const own = { ADMIN_TOKEN: 'a-long-random-text', PORT: String(port), ADMIN_PORT: String(adminPort), ...env }
  const child = spawn(process.execPath, args, { cwd: root, env: { ...process.env, ...own } })
  closing.push(() => endProcess(child, 'SIGKILL'))
  let said = ''
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk) => (said += String(chunk)))
  return { child, said: () => said, url: `http://127.0.0.1:${port}`, operators: `http://127.0.0.1:${adminPort}` }
}

const statusOf = (url: string) => fetch(url).then(({ status }) => status, () => 0) // prettier-ignore

const ENGINES = [
  { binary: 'redis-server', start: startRedis },
  { binary: 'postgres', start: startPostgres },
]

for (const { binary, start } of ENGINES) {
  requireBinary(binary)(`the program of the container, on ${binary}`, () => {
    test(
      'serves, is ready though its store goes away, and ends when its requests have',
      { timeout: 60_000 },
      async () => {
        const server = await start()
        closing.push(() => server[Symbol.asyncDispose]())
        const folder = mkdtempSync(join(tmpdir(), 'canary-container-'))
        closing.push(() => rmSync(folder, { recursive: true }))
        const { port, held } = await upstream()
        const initial = join(folder, 'kong.yaml')
        const service = { name: 'orders', url: `http://127.0.0.1:${port}` }
        writeFileSync(initial, JSON.stringify({ _format_version: '3.0', services: [service] }))
        const env = { STORE: server.url, INITIAL: initial, CACHE: join(folder, 'state.json') }
        const ports = await freePorts(4)
        const first = container(env, ports.slice(0, 2))
        await until(async () => (await statusOf(`${first.operators}/status`)) === 200, 'the first one is ready')
        expect(await (await fetch(`${first.url}/orders/7`)).text()).toBe('served /7')
        expect(await statusOf(`${first.operators}/admin/services`)).toBe(401)

        const slow = fetch(`${first.url}/orders/slow`)
        await until(() => held.length === 1, 'a request is under way')
        const exit = once(first.child, 'exit')
        first.child.kill('SIGTERM')
        await until(async () => (await statusOf(`${first.operators}/status`)) === 503, 'it is not ready any more')
        held[0]?.end('whole')
        expect(await (await slow).text()).toBe('whole')
        expect(await exit, first.said()).toEqual([0, null])

        // The cache lets another one begin while the store is away, and it is ready.
        await server.kill()
        expect(statSync(env.CACHE).mode & 0o777).toBe(0o600)
        const second = container(env, ports.slice(2))
        await until(async () => (await statusOf(`${second.operators}/status`)) === 200, 'the second one is ready')
        const status = await (await fetch(`${second.operators}/status`)).json()
        expect(status).toMatchObject({ store: { connected: false, stale: true } })
        expect(await (await fetch(`${second.url}/orders/7`)).text()).toBe('served /7')
        second.child.kill('SIGTERM')
        expect(await once(second.child, 'exit'), second.said()).toEqual([0, null])
      },
    )
  })
}
