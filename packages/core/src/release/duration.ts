const SECONDS = { s: 1, m: 60, h: 3600, d: 86_400 } as const

/** Seconds of `3600`, `'90m'`, `'36h'`, `'1.5d'`; NaN for anything else. */
export function secondsOf(duration: number | string): number {
  if (typeof duration === 'number') return duration
  const [, digits, unit] = /^(\d{1,12}(?:\.\d{1,6})?)(s|m|h|d)$/.exec(duration) ?? []
  if (digits === undefined || (unit !== 's' && unit !== 'm' && unit !== 'h' && unit !== 'd')) return Number.NaN
  return Number(digits) * SECONDS[unit]
}

const ISO_DATE = /^\d{4}-\d\d-\d\d(?:T\d\d:\d\d(?::\d\d(?:\.\d{1,9})?)?(?:Z|[+-]\d\d:\d\d))?$/

/** Epoch seconds of a Date, an ISO date (with its zone, where it has a time) or epoch seconds; NaN for anything else. */
export function epochSecondsOf(instant: Date | string | number): number {
  if (typeof instant === 'number') return instant
  if (typeof instant === 'string') return ISO_DATE.test(instant) ? Date.parse(instant) / 1000 : Number.NaN
  return instant.getTime() / 1000
}
