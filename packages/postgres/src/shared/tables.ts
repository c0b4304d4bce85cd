import { escapeIdentifier } from 'pg'

/** The names of the tables of what guards share, quoted. */
export interface SharedNames {
  readonly member: string
  readonly run: string
  readonly part: string
  readonly tick: string
  readonly report: string
}

export function sharedNames(schema: string): SharedNames {
  const quoted = escapeIdentifier(schema)
  return {
    member: `${quoted}.canary_member`,
    run: `${quoted}.canary_run`,
    part: `${quoted}.canary_part`,
    tick: `${quoted}.canary_tick`,
    report: `${quoted}.canary_report`,
  }
}

/** Times are milliseconds since the epoch. Rows that are written each second leave room for their next version. */
export function sharedTables({ member, run, part, tick, report }: SharedNames): string {
  return `-- Processes whose guards judge together.
CREATE TABLE ${member} (
  member text PRIMARY KEY,
  ordinal bigint GENERATED ALWAYS AS IDENTITY,
  heard_at double precision NOT NULL,
  says json
) WITH (fillfactor = 50);

-- Runs of releases. Whoever changes anything of a run holds the lock on its row here.
CREATE TABLE ${run} (
  run text PRIMARY KEY,
  touched_at double precision NOT NULL,
  state json,
  verdict json,
  checkpoint json,
  identities json
) WITH (fillfactor = 50);

-- Members of a run.
CREATE TABLE ${part} (
  run text NOT NULL,
  member text NOT NULL,
  part json NOT NULL,
  PRIMARY KEY (run, member)
) WITH (fillfactor = 50);

-- What members counted in the ticks of a run, after the last checkpoint.
CREATE TABLE ${tick} (
  run text NOT NULL,
  tick bigint NOT NULL,
  number bigint GENERATED ALWAYS AS IDENTITY,
  ordinal bigint NOT NULL,
  delta json NOT NULL,
  PRIMARY KEY (run, tick, number)
);

-- Which run a release is in, and what the judge last said of it.
CREATE TABLE ${report} (
  release text PRIMARY KEY,
  run text NOT NULL,
  guard json
) WITH (fillfactor = 50);
`
}
