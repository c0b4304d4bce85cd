import { type HeaderName, headerName } from '../header-names.js'

/** A header line seen before: the name as it was spelled, what it means, and its last value. */
interface Seen {
  readonly spelled: string
  readonly known: HeaderName
  value: string
}

const SLOTS = 1024
/** Longer texts are seldom the same again, and comparing them would cost more than reading them. */
const LONGEST = 64

const memo: (Seen | undefined)[] = Array.from({ length: SLOTS })
const NOTHING: Seen = { spelled: '', known: { name: '', role: 'drop' }, value: '' }

/**
 * Reads header lines out of a parser's bytes. An upstream sends nearly the same head again and again, so that most names
 * and values are the strings of the last one: comparing bytes is half the price of making strings.
 *
 * What is remembered is bounded, and only ever a faster way to the same strings.
 */
export function readName(bytes: Buffer): Seen {
  const { length } = bytes
  if (length === 0) return NOTHING
  const first = bytes[0] ?? 0
  const last = bytes[length - 1] ?? 0
  const slot = (length * 37 + first * 5 + last) % SLOTS
  const seen = memo[slot]
  if (seen !== undefined && isText(seen.spelled, bytes)) return seen
  const spelled = bytes.toString('latin1')
  const fresh = { spelled, known: headerName(spelled), value: '' }
  if (length <= LONGEST) memo[slot] = fresh
  return fresh
}

/** The value of a line whose name was read just before. */
export function readValue(bytes: Buffer, seen: Seen): string {
  if (bytes.length > LONGEST) return bytes.toString('latin1')
  if (!isText(seen.value, bytes)) seen.value = bytes.toString('latin1')
  return seen.value
}

function isText(text: string, bytes: Buffer): boolean {
  const { length } = bytes
  if (text.length !== length) return false
  // From the end, where texts of one length differ first: dates, lengths, names with a common prefix.
  for (let i = length - 1; i >= 0; i -= 1) if (text.charCodeAt(i) !== bytes[i]) return false
  return true
}
