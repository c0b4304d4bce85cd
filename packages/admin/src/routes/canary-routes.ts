import type { Draft, Registry, Row } from '@canary-release/core/registry'
import { parsedBody } from '../bodies/parsed-body.js'
import { type CanaryView, moveSchema, restartSchema } from '../schemas/canary-schemas.js'
import { type AdminRequest, type Answer, type Operation, OFFSET, SIZE, rowAnswer, sizeOf } from '../operation.js'
import { notFound } from '../refusal.js'
import { shown } from '../shown-record.js'

const MOVES = {
  rollback: 'Sends everything to A.',
  promote: 'Sends everything to B.',
  pause: 'Freezes the share of B.',
  resume: 'Goes on from where the pause began.',
} as const

type Move = keyof typeof MOVES

/** What goes beyond Kong: canaries as they run, and the moves of a person. */
export function canaryOperations(registry: Registry): Operation[] {
  return [
    listOperation(registry),
    readOperation(registry),
    moveOperation(registry, 'rollback'),
    moveOperation(registry, 'promote'),
    moveOperation(registry, 'pause'),
    moveOperation(registry, 'resume'),
    restartOperation(registry),
    finalizeOperation(registry),
    guardOperation(registry),
  ]
}

function listOperation(registry: Registry): Operation {
  return {
    method: 'GET',
    path: '/canaries',
    id: 'listCanaries',
    summary: 'Lists the canaries with what their releases do at this instant.',
    query: { size: SIZE, offset: OFFSET },
    answer: { status: 200, schema: 'CanaryPage' },
    errors: [400],
    run({ query }) {
      const size = sizeOf(query)
      const page = registry.list('plugins', { size, offset: query.get('offset') })
      if (page === null) throw notFound()
      const data = page.rows.map((row) => viewOf(registry, row)).filter((view) => view !== null)
      if (page.next === null) return { status: 200, body: { data, next: null } }
      const next = new URLSearchParams({ offset: page.next, ...(query.has('size') ? { size: String(size) } : {}) })
      return { status: 200, body: { data, next: `/canaries?${next}`, offset: page.next } }
    },
  }
}

function readOperation(registry: Registry): Operation {
  return {
    method: 'GET',
    path: '/canaries/{plugin}',
    id: 'getCanary',
    summary: 'Shows a canary with what its release does at this instant. The ETag is that of the plugin.',
    answer: { status: 200, schema: 'Canary' },
    errors: [404],
    run: ({ params }) => canaryAnswer(registry, params.plugin ?? ''),
  }
}

function moveOperation(registry: Registry, move: Move): Operation {
  return {
    method: 'POST',
    path: `/canaries/{plugin}/${move}`,
    id: `${move}Canary`,
    summary: MOVES[move],
    body: 'Move',
    answer: { status: 200, schema: 'Canary' },
    errors: [400, 404, 409, 412],
    async run(request) {
      const { reason } = parsedBody(moveSchema, request.body)
      const row = await changed(registry, request, (draft, id) => draft.move(id, move, reason))
      return canaryAnswer(registry, row.entity.id)
    },
  }
}

function restartOperation(registry: Registry): Operation {
  return {
    method: 'POST',
    path: '/canaries/{plugin}/restart',
    id: 'restartCanary',
    summary:
      "Begins again, with a new run of the guard: a ramp from bucket 0, a fixed percentage at once. `percentage`, or `start` and `duration`, replace the plugin's own.",
    body: 'Restart',
    answer: { status: 200, schema: 'Canary' },
    errors: [400, 404, 409, 412],
    async run(request) {
      const { reason, percentage, start, duration } = parsedBody(restartSchema, request.body)
      const said = { percentage, start, duration }
      const share = Object.fromEntries(Object.entries(said).filter(([, value]) => typeof value === 'number'))
      const row = await changed(registry, request, (draft, id) => draft.move(id, 'restart', reason, share))
      return canaryAnswer(registry, row.entity.id)
    },
  }
}

/** Changes the plugin that the path names, where it is what the preconditions ask for. */
async function changed<Result>(
  registry: Registry,
  request: AdminRequest,
  work: (draft: Draft, id: string) => Result | null,
): Promise<Result> {
  const result = await registry.change(request.by, (draft) => {
    const present = draft.get('plugins', request.params.plugin ?? '')
    request.preconditions(present)
    return present === null ? null : work(draft, present.entity.id)
  })
  if (result === null) throw notFound()
  return result
}

function finalizeOperation(registry: Registry): Operation {
  return {
    method: 'POST',
    path: '/canaries/{plugin}/finalize',
    id: 'finalizeCanary',
    summary:
      "Puts the service or api where B is and deletes the plugin, in one change. Answers with what A's place is now.",
    answer: { status: 200, schema: 'ServiceOrApi' },
    errors: [400, 404, 409, 412],
    async run(request) {
      const row = await changed(registry, request, (draft, id) => draft.finalize(id))
      return rowAnswer(row, shown(row))
    },
  }
}

function guardOperation(registry: Registry): Operation {
  return {
    method: 'GET',
    path: '/canaries/{plugin}/guard',
    id: 'getCanaryGuard',
    summary: 'Shows what the guard of a canary knows; null where nothing guards it.',
    answer: { status: 200, schema: 'Guard' },
    errors: [404],
    run({ params }) {
      const release = registry.release(params.plugin ?? '')
      if (release === null) throw notFound()
      return { status: 200, body: { guard: release.guard?.report() ?? null } }
    },
  }
}

function canaryAnswer(registry: Registry, plugin: string): Answer {
  const row = registry.get('plugins', plugin)
  const view = row === null ? null : viewOf(registry, row)
  if (row === null || view === null) throw notFound()
  return rowAnswer(row, view)
}

function viewOf(registry: Registry, { entity }: Row<'plugins'>): CanaryView | null {
  const { id, enabled, service, route, consumer, api } = entity
  const status = registry.release(id)?.status()
  if (status === undefined) return null
  return { id, enabled, service, route, consumer, api, ...status, fleet: fleetOf(registry, id) }
}

function fleetOf(registry: Registry, plugin: string): CanaryView['fleet'] {
  const figures = registry.fleet(plugin)
  if (figures === null) return null
  const { counts, late, members } = figures
  const shown = ({ n, k }: typeof counts.A) => ({ requests: n, failures: k })
  return { counts: { A: shown(counts.A), B: shown(counts.B) }, late, members: [...members] }
}
