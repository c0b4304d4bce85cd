// Runs the programs of an ecosystem file as PM2 does: those in cluster mode as workers of one primary, the others alone.
import { fork } from 'node:child_process'
import cluster from 'node:cluster'
import { createRequire } from 'node:module'

const { apps } = createRequire(import.meta.url)(process.argv[2])
const children = []
for (const { script, exec_mode: mode = 'fork', instances = 1, env } of apps) {
  cluster.setupPrimary({ exec: script })
  for (let i = 0; i < instances; i += 1) {
    if (mode === 'cluster') children.push(cluster.fork(env).process)
    else children.push(fork(script, { env: { ...process.env, ...env } }))
  }
}
cluster.on('listening', (_worker, { port }) => process.stdout.write(`listening on http://127.0.0.1:${port}\n`))
process.on('SIGINT', () => {
  for (const child of children) child.kill('SIGINT')
  Promise.all(children.map((child) => new Promise((resolve) => child.once('exit', resolve)))).then(() =>
    process.exit(0),
  )
})
