import { NOWHERE } from '@canary-release/core/registry'
import { until } from '../../../test/servers/processes.js'
import { type Measure, below } from './measure.js'
import { proposalOf, serviceChange } from './records.js'

/** How long after a server answers again a change is taken, and a watcher has caught up. */
export const recovery =
  (rounds = 10): Measure =>
  async (engine) => {
    await using server = await engine.start()
    const [store, other] = [engine.store(server.address), engine.store(server.address)]
    let at = NOWHERE
    let heard = 0
    let isDown = false
    store.watch(null, (event) => {
      if (event.kind === 'commit') heard = event.commit.version
      if (event.kind === 'state') heard = event.state.at.version
      if (event.kind === 'disconnected') isDown = true
    })
    const change = async () => {
      const result = await other
        .save(proposalOf(at, [serviceChange(1, `host-${at.version}`)], 'bench'))
        .catch(() => null)
      if (result?.kind === 'saved') at = result.at
      return result?.kind === 'saved'
    }
    await until(change, 'a change is made')
    const changes: number[] = []
    const watchers: number[] = []
    for (let i = 0; i < rounds; i += 1) {
      /* oxlint-disable no-await-in-loop -- one after another */
      isDown = false
      await server.kill()
      await until(() => isDown, 'the watcher knows')
      await server.start()
      const begun = performance.now()
      await until(change, 'a change is made')
      changes.push(performance.now() - begun)
      await until(() => heard === at.version, 'the watcher has caught up')
      watchers.push(performance.now() - begun)
      /* oxlint-enable no-await-in-loop */
    }
    await Promise.all([store.close(), other.close()])
    return [
      below('from the answer of a server until a change is made', Math.max(...changes), 1_000, `worst of ${rounds}`),
      below('until a watcher has caught up', Math.max(...watchers), 1_000, `worst of ${rounds}`),
    ]
  }
