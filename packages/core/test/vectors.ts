import { readFileSync } from 'node:fs'

/** The cases of one file of `test/vectors/`: results computed apart from this project, in exact arithmetic. */
export function readVectors(name: 'buckets' | 'percentage' | 'schedule' | 'edits'): unknown {
  return JSON.parse(readFileSync(new URL(`../../../test/vectors/${name}.json`, import.meta.url), 'utf8'))
}
