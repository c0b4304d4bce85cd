import { expect, test } from 'vitest'
import { soak } from '../bench/soak-run.js'

// The short form of `node bench/dist/soak.js`.
test(
  'a B that dies and comes back fails no idempotent request, and leaves nothing behind',
  { timeout: 60_000 },
  async () => {
    const report = await soak({ milliseconds: 5000, seed: 7, log: () => {} })
    expect(report.failures).toEqual([])
    expect(report.unhandled).toEqual([])
    expect(report.socketsLeft).toBe(0)
    expect(report.requests).toBeGreaterThan(100)
    expect([report.kills > 0, report.updates > 10, report.tunnels > 0, report.streams > 0]).toEqual([
      true,
      true,
      true,
      true,
    ])
  },
)
