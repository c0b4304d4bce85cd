/** A header's values, as Node keeps or gives them, as a list. */
export function listOf(value: string | number | readonly string[] | undefined): string[] {
  if (value === undefined) return []
  return typeof value === 'object' ? [...value] : [String(value)]
}

/** `Vary` with what is added to it, each name once in any case; `*` covers all others. */
export function joinVary(
  before: string | number | readonly string[] | undefined,
  added: string | readonly string[],
): string {
  const fields = new Map<string, string>()
  for (const line of [...listOf(before), ...listOf(added)]) {
    for (const field of line.split(',')) {
      const name = field.trim()
      if (name !== '' && !fields.has(name.toLowerCase())) fields.set(name.toLowerCase(), name)
    }
  }
  return fields.has('*') ? '*' : [...fields.values()].join(', ')
}
