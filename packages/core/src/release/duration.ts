const SECONDS = { s: 1, m: 60, h: 3600, d: 86_400 } as const

/** Seconds of `3600`, `'90m'`, `'36h'`, `'1.5d'`; NaN for anything else. */
export function secondsOf(duration: number | string): number {
  if (typeof duration === 'number') return duration
  const [, digits, unit] = /^(\d{1,12}(?:\.\d{1,6})?)(s|m|h|d)$/.exec(duration) ?? []
  if (digits === undefined || (unit !== 's' && unit !== 'm' && unit !== 'h' && unit !== 'd')) return Number.NaN
  return Number(digits) * SECONDS[unit]
}

/** Whole milliseconds of a duration in seconds: at least one. */
export function durationMsOf(seconds: number): number {
  return Math.max(1, Math.round(seconds * 1000))
}

const ISO_DATE = /^(\d{4}-\d\d-\d\d)(?:T(?:[01]\d|2[0-3]):\d\d(?::\d\d(?:\.\d{1,9})?)?(?:Z|[+-]\d\d:\d\d))?$/

/** Epoch seconds of a Date, an ISO date (with its zone, where it has a time) or epoch seconds; NaN for anything else. */
export function epochSecondsOf(instant: Date | string | number): number {
  if (typeof instant === 'number') return instant
  if (typeof instant !== 'string') return instant.getTime() / 1000
  const [, day] = ISO_DATE.exec(instant) ?? []
  return day !== undefined && exists(day) ? Date.parse(instant) / 1000 : Number.NaN
}

/** Whether a day is in the calendar: `Date.parse` moves 31 February to March. */
function exists(day: string): boolean {
  const midnight = new Date(day)
  return !Number.isNaN(midnight.getTime()) && midnight.toISOString().startsWith(day)
}
