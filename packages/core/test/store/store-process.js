// A process that has stores on files for another one, which asks over IPC. Run on the built package.
import { fileStore } from '@canary-release/core/registry'

const stores = new Map()
const stops = new Map()

async function answer({ method, store: name, args }) {
  if (method === 'open') return void stores.set(name, fileStore(...args))
  const store = stores.get(name)
  if (method === 'watch') {
    const [watch, from] = args
    stops.set(
      watch,
      store.watch(from, (event) => process.send({ watch, event: event.kind === 'error' ? { kind: 'error' } : event })),
    )
    return undefined
  }
  if (method === 'unwatch') return stops.get(args[0])()
  if (method === 'save') return store.save(args[0], args[1] === true ? AbortSignal.abort() : undefined)
  return store[method](...args)
}

process.on('message', ({ id, ...question }) => {
  answer(question).then(
    (result) => process.send({ id, result: result ?? null }),
    ({ code, message, outcome, commit }) => process.send({ id, error: { code, message, outcome, commit } }),
  )
})
