// Compiled by test/types.test.ts, with TypeScript's own types of disposables and with those of @types/node alone.
import { createRelease } from '@canary-release/core'
import { canary, createHandler } from '@canary-release/core/node'
import { createRegistry, memoryStore } from '@canary-release/core/registry'
import { listenAdmin } from '@canary-release/admin'

const upstreams = { A: 'http://orders-v1:3000', B: 'http://orders-v2:3000' }

export async function run(): Promise<void> {
  const release = createRelease({ name: 'orders-v2', upstreams, percentage: 10 })
  release[Symbol.dispose]() satisfies void
  const disposable: Disposable = release
  disposable[Symbol.dispose]()
  const handlers: readonly AsyncDisposable[] = [createHandler(release), canary({ name: 'x', upstreams, percentage: 1 })]
  for (const handler of handlers) await handler[Symbol.asyncDispose]()
  const registry = await createRegistry({ store: memoryStore() })
  const admin = await listenAdmin({ registry })
  const open: readonly AsyncDisposable[] = [registry, admin, admin.server]
  for (const each of open) await each[Symbol.asyncDispose]()
}
