import { readFileSync } from 'node:fs'
import { hostname } from 'node:os'
import { z } from 'zod'
import type { MemberAbout } from '../../guard/index.js'

const manifest = z.object({ version: z.string() })

/** What this process says of itself to others. */
export function thisProcess(): MemberAbout {
  const text = readFileSync(new URL('../../../package.json', import.meta.url), 'utf8')
  return { host: hostname(), pid: process.pid, version: manifest.parse(JSON.parse(text)).version }
}
