/** The function by which a log's owner removes whole sequences that are over and old enough; nobody else may delete. */

/**
 * SQL that makes `retire`: looks at up to `at_most` sequences by name after `after`, and removes those that are sealed or
 * past their lifetime, whose newest record is older than `cutoff_ms`, with a leaf index on every record and an outcome for
 * every ALLOW. Of such a sequence a tombstone stays, at the place behind its last record: the place is won or lost like
 * any other, so that a gate that appends at the same moment cannot be missed, and no sequence begins twice. Its leaves and
 * all nodes stay, so that proofs and checkpoints hold as before. The contexts that only it could read go with it.
 */
export function retireFunction(at: string): string {
  return `
CREATE FUNCTION ${at}.retire(cutoff_ms bigint, after text, at_most integer)
RETURNS TABLE (last_name text, looked_at bigint, sequences bigint, records bigint, unindexed bigint, open bigint)
LANGUAGE plpgsql AS $$
DECLARE
  candidate record;
  head record;
  removed bigint;
  arrived bigint;
BEGIN
  looked_at := 0; sequences := 0; records := 0; unindexed := 0; open := 0;
  PERFORM set_config('stepgate.retiring', 'on', true);
  arrived := ((SELECT max(e.era) FROM ${at}.era e)::bigint << 48) + pg_current_xact_id()::text::bigint;
  FOR candidate IN
    SELECT r.sequence_id, r.line::jsonb AS opening FROM ${at}.record r
    WHERE r.seq = 0 AND r.sequence_id > after AND r.sequence_id <> '@log' AND r.line IS NOT NULL
    ORDER BY r.sequence_id LIMIT at_most
  LOOP
    last_name := candidate.sequence_id;
    looked_at := looked_at + 1;
    CONTINUE WHEN (candidate.opening->>'ts_ms')::bigint >= cutoff_ms;
    SELECT r.seq, (r.line::jsonb->>'ts_ms')::bigint AS ts_ms INTO head FROM ${at}.record r
      WHERE r.sequence_id = candidate.sequence_id ORDER BY r.seq DESC LIMIT 1;
    CONTINUE WHEN head.ts_ms >= cutoff_ms;
    CONTINUE WHEN NOT EXISTS (
        SELECT FROM ${at}.record r WHERE r.sequence_id = candidate.sequence_id AND r.line::jsonb->'sealed' = 'true')
      AND NOT EXISTS (
        SELECT FROM ${at}.document d WHERE d.digest = candidate.opening->>'policy_digest'
          AND (candidate.opening->>'ts_ms')::bigint + coalesce((d.text::jsonb->>'lifetime')::bigint, 86400000) < cutoff_ms);
    IF (SELECT count(*) FROM ${at}.leaf l WHERE l.sequence_id = candidate.sequence_id) <= head.seq THEN
      unindexed := unindexed + 1;
      CONTINUE;
    END IF;
    IF EXISTS (
      SELECT FROM ${at}.record o WHERE o.sequence_id = candidate.sequence_id AND o.gate_id IS NOT NULL
        AND NOT EXISTS (SELECT FROM ${at}.record c WHERE c.sequence_id = o.sequence_id AND c.closes = o.hash)
    ) THEN
      open := open + 1;
      CONTINUE;
    END IF;
    INSERT INTO ${at}.record (sequence_id, seq, arrival, ordinal)
      VALUES (candidate.sequence_id, head.seq + 1, arrived, looked_at) ON CONFLICT DO NOTHING;
    CONTINUE WHEN NOT FOUND;
    DELETE FROM ${at}.document d USING ${at}.record r
      WHERE r.sequence_id = candidate.sequence_id AND d.digest = r.line::jsonb->>'context_digest';
    DELETE FROM ${at}.record r WHERE r.sequence_id = candidate.sequence_id AND r.seq <= head.seq;
    GET DIAGNOSTICS removed = ROW_COUNT;
    sequences := sequences + 1;
    records := records + removed;
  END LOOP;
  PERFORM set_config('stepgate.retiring', 'off', true);
  RETURN NEXT;
END $$;
CREATE FUNCTION ${at}.tidy(forgotten_after_ms bigint) RETURNS void LANGUAGE sql AS $$
  DELETE FROM ${at}.counter c
    WHERE c.step < (SELECT max(l.step) FROM ${at}.counter l WHERE l.id = c.id)
      OR c.until_ms + forgotten_after_ms < (SELECT max(a.at_ms) FROM ${at}.counter a);
  DELETE FROM ${at}.growth g WHERE g.size < (SELECT max(l.size) FROM ${at}.growth l);
  -- The last but one stays too: a start may be reading it.
  DELETE FROM ${at}.open_allow o WHERE o.floor < (SELECT f.floor FROM ${at}.open_floor f ORDER BY f.floor DESC OFFSET 1 LIMIT 1);
  DELETE FROM ${at}.open_floor o WHERE o.floor < (SELECT f.floor FROM ${at}.open_floor f ORDER BY f.floor DESC OFFSET 1 LIMIT 1);
$$;`;
}
