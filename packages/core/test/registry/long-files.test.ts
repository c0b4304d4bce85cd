import { execFile } from 'node:child_process'
import { promisify } from 'node:util'
import { describe, expect, it } from 'vitest'

const program = new URL('reading-process.js', import.meta.url).pathname

async function reading(...args: string[]): Promise<{ outcome: string; turns: number; mostThreads: number }> {
  const { stdout } = await promisify(execFile)(process.execPath, [program, ...args])
  return JSON.parse(stdout)
}

describe('a long declarative file', () => {
  it.each([
    ['json', '2000', '2000 bodies'],
    ['yaml', '2000', '2000 bodies'],
  ])('in %s leaves the event loop running while it is read', async (format, records, outcome) => {
    const read = await reading(format, records)
    expect(read.outcome).toBe(outcome)
    // Read in this thread, the loop would not turn once.
    expect(read.turns).toBeGreaterThan(50)
  })

  it('with faults rejects with the list of them', async () => {
    const { outcome, turns } = await reading('yaml', '2000', 'wrong')
    expect(outcome).toBe('declarative file, 2000 faults:')
    expect(turns).toBeGreaterThan(50)
  })

  it('does not start a thread while another one is being read', async () => {
    const { outcome, mostThreads } = await reading('json', '200', '', '4')
    expect(outcome).toBe('200 bodies')
    expect(mostThreads).toBe(1)
  })
})
