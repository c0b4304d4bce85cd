// What forwarding costs in two builds of this project, both in one process and loaded in turn; the first once more, as a
// measure of the noise. Needs wrk, nginx and taskset.
//
// npm run build && node bench/dist/builds.js FOLDER_BEFORE FOLDER_AFTER [slices]
import type { RequestListener } from 'node:http'
import { existsSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { pathToFileURL } from 'node:url'
import { UPSTREAM, measureInTurn, printInTurn, serveInTurn } from './in-turn.js'

const ENTRIES = ['packages/core/dist/entries/node.js', 'packages/core/dist/node.js']

/** The handler of a build, in the folder of a clone. */
async function handlerOf(folder: string): Promise<RequestListener> {
  const entry = ENTRIES.map((path) => join(resolve(folder), path)).find(existsSync)
  if (entry === undefined) throw new Error(`${folder} holds no build: npm run build`)
  const built: { createHandler: (options: object) => RequestListener } = await import(pathToFileURL(entry).href)
  return built.createHandler({
    name: 'bench',
    upstreams: { A: UPSTREAM, B: UPSTREAM },
    percentage: 50,
    hash: 'ip',
  })
}

const [before, after, slices = '20'] = process.argv.slice(2).filter((argument) => argument !== '--serve')
if (before === undefined || after === undefined) throw new Error('two folders are needed')
if (process.argv.includes('--serve')) {
  // A module is loaded once for each path: the first build is asked for two handlers.
  serveInTurn([await handlerOf(before), await handlerOf(after), await handlerOf(before)])
} else {
  const costs = await measureInTurn(3, Number(slices), [import.meta.filename, before, after, '--serve'])
  printInTurn(['before', 'after', 'before again'], costs)
}
