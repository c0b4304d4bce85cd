const BEYOND_ASCII = /[\u0080-\uffff]/
const BEYOND_LATIN1 = /[\u0100-\uffff]/
const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })

/**
 * The text that was meant by the value of a header. Node reads each byte of a value as one character, and most clients
 * send UTF-8; whoever describes a request writes the text itself, or gives what Node read. All of them come to the same
 * here: bytes are read as UTF-8 as long as they are some.
 */
export function meantText(value: string): string {
  let text = value
  while (BEYOND_ASCII.test(text) && !BEYOND_LATIN1.test(text)) {
    try {
      text = utf8.decode(bytesOf(text))
    } catch {
      // Bytes of another encoding.
      return text
    }
  }
  return text
}

function bytesOf(text: string): Uint8Array {
  const bytes = new Uint8Array(text.length)
  for (let i = 0; i < text.length; i += 1) bytes[i] = text.charCodeAt(i)
  return bytes
}

/** Without the blanks around it that HTTP takes for none of a value: no other blanks than these. */
export function trimBlanks(value: string): string {
  let from = 0
  let end = value.length
  while (from < end && isBlank(value.charCodeAt(from))) from += 1
  while (end > from && isBlank(value.charCodeAt(end - 1))) end -= 1
  return from === 0 && end === value.length ? value : value.slice(from, end)
}

function isBlank(code: number): boolean {
  return code === 0x20 || code === 0x09
}
