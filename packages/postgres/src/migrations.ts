import { createHash } from 'node:crypto'
import { escapeIdentifier } from 'pg'
import { AUDIT_LIMIT } from '@canary-release/core/registry'
import { type SharedNames, sharedNames, sharedTables } from './shared/tables.js'

/** The newest migration that this package knows: what `canary_head.migration` says once all are made. */
export const MIGRATION = 2

/** How many commits, and bytes of them, the log keeps for those who were away: who missed more loads anew. */
const LOG_ENTRIES = 10_000
const LOG_BYTES = 32 * 1024 * 1024

/** A larger commit is logged without what it changed: who hears of it loads anew. */
const ENTRY_BYTES = 256 * 1024

/** How many versions' ids are kept, so that a history that forked is seen. */
const HISTORY = 100_000

/** How often the log is trimmed, in versions: a batch costs less than a little each time. */
const TRIM_EVERY = 256

/** The names of what a store uses, quoted. */
export interface SqlNames {
  readonly schema: string
  readonly head: string
  readonly row: string
  readonly commit: string
  readonly audit: string
  readonly save: string
  readonly shared: SharedNames
  /** Channels are the database's: one of each schema, and 63 bytes at most. */
  readonly channel: string
}

export function sqlNames(schema: string): SqlNames {
  const quoted = escapeIdentifier(schema)
  return {
    schema: quoted,
    head: `${quoted}.canary_head`,
    row: `${quoted}.canary_row`,
    commit: `${quoted}.canary_commit`,
    audit: `${quoted}.canary_audit`,
    save: `${quoted}.canary_save`,
    shared: sharedNames(schema),
    channel: `canary_${createHash('sha256').update(schema).digest('hex').slice(0, 32)}`,
  }
}

/**
 * What a store makes in a database, in order, one text of SQL for each migration: for people whose database users may
 * not create tables. `canary_head.migration` says how many were made. Each is to be run as one transaction.
 *
 * @param schema @default 'canary'
 */
export function migrations(schema = 'canary'): readonly string[] {
  const names = sqlNames(schema)
  const [first, ...later] = statements(names)
  return [`CREATE SCHEMA IF NOT EXISTS ${names.schema};\n\n${first}`, ...later]
}

/** The migrations, but for the schema: to make one takes rights on the database even if it is there. */
export function statements(names: SqlNames): readonly string[] {
  return [tablesAndFunction(names), `${sharedTables(names.shared)}\nUPDATE ${names.head} SET migration = 2;\n`]
}

function tablesAndFunction({ head, row, commit, audit, save, channel }: SqlNames): string {
  return `-- One row: where the history stands. A reader older than min_reader must not read.
CREATE TABLE ${head} (
  one boolean PRIMARY KEY DEFAULT true CHECK (one),
  migration integer NOT NULL,
  min_reader integer NOT NULL,
  epoch text NOT NULL,
  version bigint NOT NULL,
  id text NOT NULL
) WITH (fillfactor = 10);
INSERT INTO ${head} (migration, min_reader, epoch, version, id)
  VALUES (1, 1, gen_random_uuid()::text, 0, '');

CREATE TABLE ${row} (
  kind text NOT NULL,
  id text NOT NULL,
  revision bigint NOT NULL,
  content json NOT NULL,
  PRIMARY KEY (kind, id)
);

-- The history: ids of the last ${HISTORY} versions; body and writes of the newest, as far as the log reaches.
CREATE TABLE ${commit} (
  version bigint PRIMARY KEY,
  id text NOT NULL UNIQUE,
  prev text NOT NULL,
  writes text[],
  body json,
  size integer NOT NULL
);

CREATE TABLE ${audit} (
  version bigint PRIMARY KEY,
  by_whom text NOT NULL,
  plugins text[] NOT NULL,
  entry json NOT NULL
);

CREATE FUNCTION ${save}(
  p_id text, p_epoch text, p_version bigint, p_base text, p_reads text[], p_writes text[],
  p_kinds text[], p_ids text[], p_rows text[], p_body text, p_audit text, p_by text, p_plugins text[], p_lock_ms integer
) RETURNS TABLE (kind text, epoch text, version bigint, id text, prev text) LANGUAGE plpgsql AS $canary$
#variable_conflict use_column
DECLARE
  head ${head}%ROWTYPE;
  known text;
  made bigint;
  logged bigint;
  touched boolean;
  large boolean := octet_length(p_body) > ${ENTRY_BYTES};
BEGIN
  -- No statement outlives who asked for it, waiting for another writer.
  PERFORM set_config('lock_timeout', p_lock_ms::text, true);
  -- "off" loses what was acknowledged when the server is killed.
  IF current_setting('synchronous_commit') = 'off' THEN PERFORM set_config('synchronous_commit', 'on', true); END IF;
  SELECT * INTO head FROM ${head} FOR UPDATE;
  IF NOT FOUND THEN RAISE EXCEPTION 'canary_head is empty' USING ERRCODE = 'CR001'; END IF;

  -- A retry after an unknown outcome finds itself.
  SELECT c.version, c.prev INTO made, known FROM ${commit} AS c WHERE c.id = p_id;
  IF FOUND THEN
    RETURN QUERY SELECT 'saved', head.epoch, made, p_id, known;
    RETURN;
  END IF;

  IF p_epoch = '' THEN
    IF head.version > 0 THEN
      RETURN QUERY SELECT 'anew', head.epoch, head.version, head.id, '';
      RETURN;
    END IF;
  ELSE
    known := head.id;
    IF p_version < head.version THEN
      known := CASE WHEN p_version = 0 THEN '' ELSE (SELECT c.id FROM ${commit} AS c WHERE c.version = p_version) END;
    END IF;
    IF p_epoch <> head.epoch OR p_version > head.version OR known <> p_base THEN
      RETURN QUERY SELECT 'rewound', head.epoch, head.version, head.id, '';
      RETURN;
    END IF;
    IF p_version < head.version THEN
      SELECT count(c.body), coalesce(bool_or(c.writes && p_reads), false) OR '*' = ANY (p_reads)
        INTO logged, touched FROM ${commit} AS c WHERE c.version > p_version;
      IF logged < head.version - p_version THEN
        RETURN QUERY SELECT 'anew', head.epoch, head.version, head.id, '';
        RETURN;
      END IF;
      IF touched THEN
        RETURN QUERY SELECT 'conflict', head.epoch, head.version, head.id, '';
        RETURN;
      END IF;
    END IF;
  END IF;

  made := head.version + 1;
  UPDATE ${head} SET version = made, id = p_id;
  DELETE FROM ${row} AS r USING unnest(p_kinds, p_ids, p_rows) AS n (kind, id, content)
    WHERE n.content IS NULL AND r.kind = n.kind AND r.id = n.id;
  INSERT INTO ${row} AS r (kind, id, revision, content)
    SELECT n.kind, n.id, made, n.content::json FROM unnest(p_kinds, p_ids, p_rows) AS n (kind, id, content)
    WHERE n.content IS NOT NULL
    ON CONFLICT ON CONSTRAINT canary_row_pkey DO UPDATE SET revision = excluded.revision, content = excluded.content;
  INSERT INTO ${commit} (version, id, prev, writes, body, size) VALUES (
    made, p_id, head.id, CASE WHEN NOT large THEN p_writes END, CASE WHEN NOT large THEN p_body::json END,
    CASE WHEN large THEN 0 ELSE octet_length(p_body) END);
  INSERT INTO ${audit} (version, by_whom, plugins, entry) VALUES (made, p_by, p_plugins, p_audit::json);
  DELETE FROM ${audit} AS a WHERE a.version <= made - ${AUDIT_LIMIT};
  IF made % ${TRIM_EVERY} = 0 THEN
    UPDATE ${commit} AS c SET body = NULL, writes = NULL, size = 0
      WHERE c.body IS NOT NULL AND c.version <= greatest(made - ${LOG_ENTRIES}, (
        SELECT max(s.version) FROM (
          SELECT l.version, sum(l.size) OVER (ORDER BY l.version DESC) AS bytes FROM ${commit} AS l
          WHERE l.version > made - ${LOG_ENTRIES}
        ) AS s WHERE s.bytes > ${LOG_BYTES}))
      AND c.version > made - ${2 * LOG_ENTRIES};
    DELETE FROM ${commit} AS c WHERE c.version <= made - ${HISTORY};
  END IF;
  PERFORM pg_notify('${channel}', made::text);
  RETURN QUERY SELECT 'saved', head.epoch, made, p_id, head.id;
END
$canary$;
`
}
