/** One entry that users may import. */
export interface PublicEntry {
  /** The package's folder. */
  readonly folder: string
  readonly packageName: string
  /** `index` for the package itself, else the path behind its name. */
  readonly name: string
  readonly specifier: string
  /** Path of its declarations. */
  readonly declarations: string
}

export function publicEntries(root: string): readonly PublicEntry[]
