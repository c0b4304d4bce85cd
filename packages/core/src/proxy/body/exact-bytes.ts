/** Encodings of which text tells every byte. */
const EXACT: ReadonlySet<string> = new Set(['latin1', 'binary', 'hex', 'base64', 'base64url'])

/**
 * The bytes of a chunk that came from a stream with the given encoding (`null`: none was set): somebody else may have
 * set one. `null` where its text has lost some of them.
 */
export function exactBytes(text: string, encoding: BufferEncoding | null): Buffer | null {
  if (encoding === null) return Buffer.from(text)
  if (EXACT.has(encoding)) return Buffer.from(text, encoding)
  if (encoding !== 'utf8' && encoding !== 'utf-8') return null
  // What is no UTF-8 was replaced by this character; all else is told.
  return text.includes('\uFFFD') ? null : Buffer.from(text)
}
