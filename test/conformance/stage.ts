import { afterEach } from 'vitest'
import type { App, AppSpec, FrameworkHarness, Source } from './frameworks.js'
import { type Upstream, startUpstream } from './upstream.js'

/** What the tests of one framework work with: two upstreams, and applications that end with their test. */
export interface Stage {
  readonly A: () => string
  readonly B: () => string
  readonly upstreams: () => readonly [Upstream, Upstream]
  /** An application with one mount at the root. */
  readonly app: (options: object, spec?: Partial<AppSpec>) => Promise<App>
  readonly mounted: (spec: AppSpec) => Promise<App>
  readonly options: (more?: object) => object
  readonly harness: FrameworkHarness
}

export async function createStage(harness: FrameworkHarness): Promise<{ stage: Stage; end: () => Promise<void> }> {
  const pair = [await startUpstream('A'), await startUpstream('B')] as const
  const apps: App[] = []
  const [A, B] = pair
  afterEach(async () => {
    for (const app of apps.splice(0)) await app.close()
    for (const { seen } of pair) seen.length = 0
  })
  const mounted = async (spec: AppSpec) => {
    const app = await harness.start(spec)
    apps.push(app)
    return app
  }
  const options = (more: object = {}) => ({
    name: 'orders-v2',
    upstreams: { A: A.url, B: B.url },
    percentage: 50,
    override: { header: 'x-canary', cookie: 'canary' },
    ...more,
  })
  const stage: Stage = {
    A: () => A.url,
    B: () => B.url,
    upstreams: () => pair,
    mounted,
    options,
    app: (more, spec) =>
      mounted({ mounts: [{ source: ('decide' in more ? more : options(more)) as Source }], ...spec }),
    harness,
  }
  return { stage, end: async () => void (await Promise.all([A.close(), B.close()])) }
}

export const always = { 'x-canary': 'always' }
export const never = { 'x-canary': 'never' }
