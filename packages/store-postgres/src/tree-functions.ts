/** The functions that read and grow what lies over the records: the log's tree, and the ALLOWs that are still open. */

/**
 * SQL that makes `unindexed`, `index_leaves` and `open_allows`. Records without a leaf index are found from a floor on:
 * the arrival below which everything is indexed and no transaction is under way. It only ever saves looking; whether a
 * record has an index, its leaf says.
 *
 * The scalar subqueries (`(SELECT …) IS NULL`) are on purpose: a planner may turn NOT EXISTS into a join with all of the
 * other table, and here a few rows of a large table are asked about.
 */
export function treeFunctions(at: string): string {
  return [unindexed(at), indexLeaves(at), openAllows(at)].join("\n");
}

/** A few rows at the end of a long table are what is asked for, and the planner cannot know: it must go by the index. */
const BY_INDEX =
  "SET enable_seqscan = off SET enable_bitmapscan = off SET enable_sort = off SET enable_hashjoin = off SET enable_mergejoin = off SET jit = off";

/** At least one row: with the size alone where there is nothing to index. */
function unindexed(at: string): string {
  return `
CREATE FUNCTION ${at}.unindexed(wanted bigint)
RETURNS TABLE (size bigint, sequence_id text, seq bigint, line text) LANGUAGE sql STABLE ${BY_INDEX} AS $$
  SELECT s.size, r.sequence_id, r.seq, r.line
  FROM (SELECT coalesce(max(l.place) + 1, 0) AS size FROM ${at}.leaf l) AS s
  LEFT JOIN LATERAL (
    SELECT r.sequence_id, r.seq, r.line, r.arrival, r.ordinal FROM ${at}.record r
    WHERE r.arrival >= coalesce((SELECT g.floor FROM ${at}.growth g ORDER BY g.size DESC LIMIT 1), 0)
      AND r.line IS NOT NULL
      AND (SELECT l.place FROM ${at}.leaf l WHERE l.sequence_id = r.sequence_id AND l.seq = r.seq) IS NULL
    ORDER BY r.arrival, r.ordinal LIMIT wanted
  ) AS r ON true
  ORDER BY r.arrival, r.ordinal
$$;`;
}

/**
 * Indexes records that are there, have no leaf, and follow in their sequences what has one; everything under one lock, and
 * a leaf's place is unique besides.
 */
function indexLeaves(at: string): string {
  return `
CREATE FUNCTION ${at}.index_leaves(
  era bigint, lock_key bigint, size bigint,
  names text[], seqs bigint[], hashes text[],
  node_levels integer[], node_places bigint[], node_hashes text[]
) RETURNS boolean LANGUAGE plpgsql ${BY_INDEX} AS $$
DECLARE
  was_floor bigint;
  settled bigint;
BEGIN
  PERFORM pg_advisory_xact_lock(lock_key);
  IF size <> (SELECT coalesce(max(l.place) + 1, 0) FROM ${at}.leaf l) THEN RETURN false; END IF;
  IF EXISTS (
    SELECT FROM (
      SELECT n.name, n.seq, lag(n.seq) OVER (PARTITION BY n.name ORDER BY n.nth) AS before
      FROM unnest(names, seqs) WITH ORDINALITY AS n (name, seq, nth)
    ) AS n
    WHERE (SELECT r.line IS NOT NULL FROM ${at}.record r WHERE r.sequence_id = n.name AND r.seq = n.seq) IS NOT TRUE
      OR (SELECT l.place FROM ${at}.leaf l WHERE l.sequence_id = n.name AND l.seq = n.seq) IS NOT NULL
      OR CASE
        WHEN n.before IS NOT NULL THEN n.seq <> n.before + 1
        ELSE n.seq > 0 AND (SELECT l.place FROM ${at}.leaf l WHERE l.sequence_id = n.name AND l.seq = n.seq - 1) IS NULL
      END
  ) THEN RETURN false; END IF;
  INSERT INTO ${at}.leaf (place, sequence_id, seq, hash)
  SELECT size + n.nth - 1, n.name, n.seq, decode(n.hash, 'hex')
  FROM unnest(names, seqs, hashes) WITH ORDINALITY AS n (name, seq, hash, nth);
  INSERT INTO ${at}.node (level, place, hash)
  SELECT n.level, n.place, decode(n.hash, 'hex') FROM unnest(node_levels, node_places, node_hashes) AS n (level, place, hash);

  was_floor := coalesce((SELECT g.floor FROM ${at}.growth g ORDER BY g.size DESC LIMIT 1), 0);
  settled := (era << 48) + pg_snapshot_xmin(pg_current_snapshot())::text::bigint;
  INSERT INTO ${at}.growth (size, floor)
  SELECT index_leaves.size + cardinality(names), greatest(was_floor, least(settled, (
    SELECT r.arrival FROM ${at}.record r
    WHERE r.arrival >= was_floor AND r.line IS NOT NULL
      AND (SELECT l.place FROM ${at}.leaf l WHERE l.sequence_id = r.sequence_id AND l.seq = r.seq) IS NULL
    ORDER BY r.arrival, r.ordinal LIMIT 1)));
  RETURN true;
END $$;`;
}

/**
 * ALLOWs that no record closes: those that were open below the last floor, and those that arrived since. Where many
 * records arrived since, the next floor is laid, so that a start reads few rows however long the log.
 */
function openAllows(at: string): string {
  return `
CREATE FUNCTION ${at}.open_since(since bigint, until bigint)
RETURNS TABLE (hash text, sequence_id text, gate_id text, expires_ms bigint) LANGUAGE sql STABLE SET enable_seqscan = off SET jit = off AS $$
  WITH arrived AS MATERIALIZED (
    SELECT r.hash, r.sequence_id, r.gate_id, r.expires_ms, r.closes FROM ${at}.record r
    WHERE r.arrival >= since AND r.arrival < until AND (r.gate_id IS NOT NULL OR r.closes IS NOT NULL)
  ), opened AS (
    SELECT o.hash, o.sequence_id, o.gate_id, o.expires_ms FROM ${at}.open_allow o WHERE o.floor = since
    UNION ALL
    SELECT a.hash, a.sequence_id, a.gate_id, a.expires_ms FROM arrived a WHERE a.gate_id IS NOT NULL
  )
  SELECT o.hash, o.sequence_id, o.gate_id, o.expires_ms FROM opened o
  WHERE NOT EXISTS (SELECT FROM arrived a WHERE a.closes = o.hash)
$$;
CREATE FUNCTION ${at}.open_allows(era bigint, lock_key bigint, worth bigint)
RETURNS TABLE (hash text, sequence_id text, gate_id text, expires_ms bigint) LANGUAGE plpgsql SET enable_seqscan = off SET jit = off AS $$
DECLARE
  was_floor bigint;
  settled bigint;
BEGIN
  was_floor := coalesce((SELECT max(f.floor) FROM ${at}.open_floor f), 0);
  settled := (era << 48) + pg_snapshot_xmin(pg_current_snapshot())::text::bigint;
  IF settled > was_floor
    AND (SELECT count(*) FROM (
      SELECT FROM ${at}.record r WHERE r.arrival >= was_floor AND r.arrival < settled LIMIT worth) AS since) = worth
    AND pg_try_advisory_xact_lock(lock_key)
    AND was_floor = coalesce((SELECT max(f.floor) FROM ${at}.open_floor f), 0)
  THEN
    INSERT INTO ${at}.open_allow (floor, hash, sequence_id, gate_id, expires_ms)
    SELECT settled, o.hash, o.sequence_id, o.gate_id, o.expires_ms FROM ${at}.open_since(was_floor, settled) o;
    INSERT INTO ${at}.open_floor (floor) VALUES (settled);
    was_floor := settled;
  END IF;
  RETURN QUERY SELECT o.hash, o.sequence_id, o.gate_id, o.expires_ms FROM ${at}.open_since(was_floor, 9223372036854775807) o;
END $$;`;
}
