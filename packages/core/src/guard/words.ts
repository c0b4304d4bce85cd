import type { Finding } from './judge.js'
import type { ArmCount } from './report.js'

/** A count with spaces between thousands: `5 890`. */
export function countText(count: number): string {
  return Math.round(count).toLocaleString('en-US').replaceAll(',', ' ')
}

/** A rate in per cent: `4.5 %`, `0.05 %`, `50 %`. */
export function rateText(rate: number): string {
  const percent = rate * 100
  const text = percent >= 1 ? percent.toFixed(1) : percent >= 0.01 ? percent.toFixed(2) : percent.toPrecision(1)
  return `${Number(text)} %`
}

/** A time as a person says it: `40 s`, `12 min`, `3 h`. */
export function timeText(seconds: number): string {
  if (seconds < 120) return `${Math.ceil(seconds)} s`
  return seconds < 7200 ? `${Math.round(seconds / 60)} min` : `${countText(seconds / 3600)} h`
}

/** Evidence: `412`, and what is too large to mean anything as a power of ten. Rounded down: `100` is at least 100. */
export function evidenceText(ln: number): string {
  // A logarithm and back may lose the last digit.
  const evidence = Math.exp(ln) * (1 + 1e-12)
  if (evidence < 10) return String(Number(evidence.toPrecision(2)))
  return evidence < 1e9 ? countText(Math.floor(evidence)) : `10^${Math.floor(ln / Math.LN10 + 1e-9)}`
}

/** What speaks against B, as a clause: `B failed 14 of 310 requests (4.5 %), A 3 of 5 890 (0.05 %)`. */
export function findingText(finding: Finding, tickMs: number): string {
  switch (finding.kind) {
    case 'errors': {
      const since = finding.ticks === null ? '' : ` in the last ${timeText((finding.ticks * tickMs) / 1000)}`
      return `B failed ${share(finding.b, 'requests ')}, A ${share(finding.a)}${since}`
    }
    case 'latency': {
      const over = `${countText(finding.overMs)} ms`
      return `B took longer than ${over} for ${share(finding.b, 'requests ')}, A for ${share(finding.a)}`
    }
    case 'hard-limit': {
      const { n, k, identities, rate } = finding.b
      const limit = `and the hard limit is ${rateText(finding.failureRate)}`
      const row = `B failed ${countText(k)} of ${countText(n)} requests in a row`
      if (identities === null) return `${row} (${rateText(rate)}), ${limit}`
      return `${row}, ${rateText(rate)} on the mean of ${countText(identities)} identities, ${limit}`
    }
  }
}

function share({ n, k }: ArmCount, what = ''): string {
  // A late failure may be told after the request that it belongs to was forgotten.
  const of = Math.max(n, k)
  return `${countText(k)} of ${countText(of)} ${what}(${of === 0 ? '0 %' : rateText(k / of)})`
}
