import { readFileSync } from 'node:fs'
import { hostname } from 'node:os'
import { z } from 'zod'
import type { MemberAbout } from '../../guard/index.js'

const manifest = z.object({ version: z.string() })

/** What this process says of itself to others. */
export function thisProcess(): MemberAbout {
  return { host: hostname(), pid: process.pid, version: version() }
}

/** Of this package; a bundle does not have it beside its code. */
function version(): string {
  try {
    return manifest.parse(JSON.parse(readFileSync(new URL('../../../package.json', import.meta.url), 'utf8'))).version
  } catch {
    return 'unknown'
  }
}
