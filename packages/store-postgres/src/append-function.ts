/** The one function by which records come into the log: it judges a batch of appends at one moment and inserts those that may stand. */

/**
 * SQL that makes `append`. Its arguments are parallel arrays: the records of appends (to different sequences, numbered from 1 in
 * the order in which they are to be judged), their documents, the counters that they move, and the steps of these.
 *
 * INVARIANT: everything is judged by one statement, before this transaction has a number. What that statement sees was
 * therefore committed by transactions of lower numbers, so that `arrival` agrees with the order of every sequence; and as
 * a place is judged free only where the one before it is seen, of two transactions that judge the same sequence one finds
 * its first place taken when it inserts. Nothing else of an append can collide: who holds the first place holds the rest.
 *
 * Deadlocks cannot be: every transaction waits for counters first, then for places, then for documents, each in order.
 */
export function appendFunction(at: string): string {
  return `
CREATE FUNCTION ${at}.append(
  era bigint, appends integer,
  record_of integer[], names text[], firsts bigint[], repeats boolean[],
  seqs bigint[], nonces text[], lines text[], hashes text[], gate_ids text[], expires bigint[], closed text[],
  document_of integer[] DEFAULT '{}', digests text[] DEFAULT '{}', texts text[] DEFAULT '{}',
  lock_keys bigint[] DEFAULT '{}', counter_ids bytea[] DEFAULT '{}', counter_names text[] DEFAULT '{}', untils bigint[] DEFAULT '{}',
  step_of integer[] DEFAULT '{}', step_counters integer[] DEFAULT '{}', adds numeric[] DEFAULT '{}', maxima numeric[] DEFAULT '{}', ats bigint[] DEFAULT '{}'
) RETURNS text[] LANGUAGE plpgsql SET plan_cache_mode = force_generic_plan SET jit = off AS $$
DECLARE
  results text[];
  arrived bigint;
  won integer[];
  totals numeric[];
  trial numeric[];
  lock_key bigint;
  nth integer;
  counter_at integer;
BEGIN
  IF current_setting('transaction_isolation') <> 'read committed' THEN
    RAISE EXCEPTION 'appends need the isolation level read committed';
  END IF;
  -- Lasts until this transaction has committed, whatever the connection or a pooler in between is set to.
  IF current_setting('synchronous_commit') NOT IN ('on', 'remote_apply') THEN
    PERFORM set_config('synchronous_commit', 'on', true);
  END IF;
  FOREACH lock_key IN ARRAY lock_keys LOOP
    PERFORM pg_advisory_xact_lock(lock_key);
  END LOOP;

  SELECT array_agg(CASE
      WHEN j.is_next THEN CASE WHEN j.wrong THEN 'replay' ELSE 'free' END
      WHEN j.wrong THEN 'lost' ELSE 'won' END ORDER BY j.of_append)
  INTO results
  FROM (
    SELECT n.of_append, bool_and(head.is_next) AS is_next,
      bool_or(CASE
        WHEN head.is_next THEN n.repeats OR n.nonce IS NOT NULL AND
          (SELECT true FROM ${at}.record r WHERE r.sequence_id = n.name AND r.nonce = n.nonce) IS NOT NULL
        ELSE n.line IS DISTINCT FROM
          (SELECT r.line FROM ${at}.record r WHERE r.sequence_id = n.name AND r.seq = n.seq)
      END) AS wrong
    FROM unnest(record_of, names, firsts, repeats, seqs, nonces, lines)
      AS n (of_append, name, first, repeats, seq, nonce, line)
    CROSS JOIN LATERAL (
      SELECT coalesce(n.first = coalesce(max(h.next), 0), false) AS is_next FROM (
        SELECT CASE WHEN r.line IS NOT NULL THEN r.seq + 1 ELSE -1 END AS next FROM ${at}.record r
        WHERE r.sequence_id = n.name ORDER BY r.seq DESC LIMIT 1
      ) AS h
    ) AS head
    GROUP BY n.of_append
  ) AS j;

  IF cardinality(step_of) > 0 THEN
    totals := ARRAY(
      SELECT coalesce((SELECT c.total FROM ${at}.counter c WHERE c.id = i.id ORDER BY c.step DESC LIMIT 1), 0)
      FROM unnest(counter_ids) WITH ORDINALITY AS i (id, nth) ORDER BY i.nth);
    trial := totals;
    FOR k IN 1 .. cardinality(step_of) LOOP
      nth := step_of[k];
      IF results[nth] = 'free' THEN
        counter_at := step_counters[k];
        trial[counter_at] := trial[counter_at] + adds[k];
        IF trial[counter_at] > maxima[k] THEN results[nth] := 'limited'; END IF;
      END IF;
      IF step_of[k + 1] IS DISTINCT FROM nth THEN
        IF results[nth] = 'free' THEN totals := trial; ELSE trial := totals; END IF;
      END IF;
    END LOOP;
  END IF;
  IF NOT 'free' = ANY (results) THEN RETURN results; END IF;

  arrived := (era << 48) + pg_current_xact_id()::text::bigint;
  WITH inserted AS (
    INSERT INTO ${at}.record (sequence_id, seq, arrival, ordinal, nonce, line, hash, gate_id, expires_ms, closes)
    SELECT r.name, r.seq, arrived, r.ordinal, r.nonce, r.line, r.hash, r.gate_id, r.expires_ms, r.closes
    FROM unnest(record_of, names, firsts, seqs, nonces, lines, hashes, gate_ids, expires, closed) WITH ORDINALITY
      AS r (of_append, name, first, seq, nonce, line, hash, gate_id, expires_ms, closes, ordinal)
    WHERE results[r.of_append] = 'free' AND r.seq = r.first
    ORDER BY r.name COLLATE "C"
    ON CONFLICT DO NOTHING
    RETURNING ordinal
  )
  SELECT coalesce(array_agg(ordinal), '{}') INTO won FROM inserted;
  FOREACH nth IN ARRAY won LOOP
    results[record_of[nth]] := 'won new';
  END LOOP;

  IF cardinality(record_of) > appends THEN
    INSERT INTO ${at}.record (sequence_id, seq, arrival, ordinal, nonce, line, hash, gate_id, expires_ms, closes)
    SELECT r.name, r.seq, arrived, r.ordinal, r.nonce, r.line, r.hash, r.gate_id, r.expires_ms, r.closes
    FROM unnest(record_of, names, firsts, seqs, nonces, lines, hashes, gate_ids, expires, closed) WITH ORDINALITY
      AS r (of_append, name, first, seq, nonce, line, hash, gate_id, expires_ms, closes, ordinal)
    WHERE results[r.of_append] = 'won new' AND r.seq > r.first;
  END IF;
  IF cardinality(step_of) > 0 THEN
    INSERT INTO ${at}.counter (id, step, name, total, at_ms, until_ms)
    SELECT counter_ids[s.counter_at], coalesce(before.step, 0) + 1, counter_names[s.counter_at],
      coalesce(before.total, 0) + s.added, s.at_ms, untils[s.counter_at]
    FROM (
      SELECT m.counter_at, sum(m.add) AS added, max(m.at_ms) AS at_ms
      FROM unnest(step_of, step_counters, adds, ats) AS m (of_append, counter_at, add, at_ms)
      WHERE results[m.of_append] = 'won new' GROUP BY m.counter_at
    ) AS s
    LEFT JOIN LATERAL (
      SELECT c.step, c.total FROM ${at}.counter c WHERE c.id = counter_ids[s.counter_at] ORDER BY c.step DESC LIMIT 1
    ) AS before ON true;
  END IF;
  IF cardinality(document_of) > 0 THEN
    INSERT INTO ${at}.document (digest, text)
    SELECT d.digest, d.text FROM unnest(document_of, digests, texts) AS d (of_append, digest, text)
    WHERE results[d.of_append] = 'won new' ORDER BY d.digest COLLATE "C"
    ON CONFLICT DO NOTHING;
  END IF;
  -- Who was judged free and is not new was second: another transaction had the place by then.
  RETURN array_replace(array_replace(results, 'won new', 'won'), 'free', 'lost');
END $$;`;
}
