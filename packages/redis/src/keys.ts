/** The keys of one store. They share a hash tag, so that a cluster keeps them in one slot and one script may use them. */
export interface Keys {
  /** A hash: format, epoch, version, id, and how many bytes the log holds. */
  readonly head: string
  /** A hash: `kind/id` → `revision JSON`. */
  readonly rows: string
  /** A stream of commits; the id of an entry is `version-0`. Bounded in bytes. */
  readonly log: string
  /** A stream of audit entries, with the same ids. */
  readonly audit: string
  /** A stream of the commits' ids, with the same ids: what tells a forked history long after the log was trimmed. */
  readonly ids: string
  /** What guards share: see `shared/run-script.ts`. */
  readonly members: string
  /** A hash: member → what it says of itself. */
  readonly says: string
  readonly ordinals: string
  readonly releases: string
  /** A hash: release → run and what the judge last said. */
  readonly reports: string
  run(run: string): string
  deltas(run: string): string
  ticks(run: string): string
  parts(run: string): string
}

export function keysOf(name: string): Keys {
  const key = (part: string) => `{canary:${name}}:${part}`
  return {
    head: key('head'),
    rows: key('rows'),
    log: key('log'),
    audit: key('audit'),
    ids: key('ids'),
    members: key('members'),
    says: key('says'),
    ordinals: key('ordinals'),
    releases: key('releases'),
    reports: key('reports'),
    run: (run) => key(`run:${run}`),
    deltas: (run) => key(`deltas:${run}`),
    ticks: (run) => key(`ticks:${run}`),
    parts: (run) => key(`parts:${run}`),
  }
}

/** Those of the registry, in the order in which its scripts take them. */
export function keyList({ head, rows, log, audit, ids }: Keys): readonly string[] {
  return [head, rows, log, audit, ids]
}
