import { type Commit, NOWHERE, type Position, type Store, memoryStore } from '@canary-release/core/registry'
import { type Client, Network } from './network.js'
import { type StorePlace, runStoreSuite, saved } from './suite.js'

/** One of several that share a store; closing it does not end the others. */
function sharing(store: Store): Store {
  const leaving = new Set<() => void>()
  return {
    ...store,
    watch(from, listener) {
      const stop = store.watch(from, listener)
      leaving.add(stop)
      return stop
    },
    close: async () => leaving.forEach((stop) => stop()),
  }
}

/** A store that has what another one had up to a position. */
async function copied(store: Store, to: Position): Promise<Store> {
  const commits = await new Promise<Commit[]>((resolve) => {
    const heard: Commit[] = []
    store.watch(null, (event) => {
      if (event.kind === 'commit' && heard.push(event.commit) === to.version) resolve(heard)
    })
  })
  const copy = memoryStore()
  let at = NOWHERE
  for (const { id, writes, changes, audit } of commits.slice(0, to.version)) {
    // oxlint-disable-next-line no-await-in-loop -- one after another
    at = await saved(copy, { id, base: at, reads: [], writes, changes, audit })
  }
  const { epoch } = at
  const renamed = (position: Position) => (position.epoch === epoch ? { ...position, epoch: to.epoch } : position)
  const original = (position: Position) => (position.epoch === to.epoch ? { ...position, epoch } : position)
  return {
    ...copy,
    async load() {
      const state = await copy.load()
      return state === null ? null : { ...state, at: renamed(state.at) }
    },
    async save(proposal, signal) {
      const result = await copy.save({ ...proposal, base: original(proposal.base) }, signal)
      if (result.kind === 'saved') return { ...result, at: renamed(result.at) }
      return result.kind === 'rewound' ? { ...result, stored: renamed(result.stored) } : result
    },
    watch(from, listener) {
      return copy.watch(from === null ? null : original(from), (event) => {
        if (event.kind !== 'rewound') listener(event)
        else listener({ ...event, known: renamed(event.known), stored: renamed(event.stored) })
      })
    },
  }
}

interface NetworkPlace extends StorePlace {
  readonly network: Network
  readonly client: Client
}

// The suite's own test: what it demands of a store over a network can be kept.
runStoreSuite<NetworkPlace>('simulated network', {
  async open() {
    const network = new Network()
    const client = network.connect()
    const another = async () => network.connect()
    return { network, client, store: client, another, [Symbol.asyncDispose]: () => network.inner.close() }
  },
  async cut({ client }) {
    client.line = 'refused'
    return async () => void (client.line = 'up')
  },
  async rewind({ network }, to) {
    network.replace(await copied(network.inner, to))
  },
})

runStoreSuite('memory', {
  async open() {
    const store = memoryStore()
    const another = async () => sharing(store)
    return { store: sharing(store), another, [Symbol.asyncDispose]: () => store.close() }
  },
})
