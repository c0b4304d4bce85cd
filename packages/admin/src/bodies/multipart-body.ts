import { type FormField, MAX_FIELDS } from './form-body.js'
import { badForm, tooManyFields } from '../refusal.js'

/**
 * The fields of a `multipart/form-data` body, as `curl -F` sends them.
 *
 * @throws {Refusal} 400 where it cannot be read, holds files, or has too many parts
 */
export async function multipartFields(bytes: Buffer, contentType: string): Promise<readonly FormField[]> {
  const boundary = boundaryOf(contentType) ?? ''
  if (countOf(bytes, `--${boundary}`) > MAX_FIELDS + 1) throw tooManyFields()
  const form = await parsed(bytes, contentType)
  return [...form].map(([name, value]) => {
    // A file's text would be taken for a field's by nobody who sends one.
    if (typeof value !== 'string') throw badForm()
    return [name, value]
  })
}

/** What is between the parts, as the content type says; `null` where it does not. */
export function boundaryOf(contentType: string): string | null {
  const [, quoted, plain] = /;\s*boundary=(?:"([^"]{1,70})"|([^\s;"]{1,70}))/i.exec(contentType) ?? []
  return quoted ?? plain ?? null
}

async function parsed(bytes: Buffer, contentType: string): Promise<FormData> {
  try {
    return await new Response(bytes, { headers: { 'content-type': contentType } }).formData()
  } catch {
    throw badForm()
  }
}

function countOf(bytes: Buffer, text: string): number {
  let count = 0
  for (let at = bytes.indexOf(text); at !== -1; at = bytes.indexOf(text, at + text.length)) count += 1
  return count
}
