/** Retention: removes whole sequences that are over and old enough. Run by the log's owner, beside gates at work. */
import { FORGOTTEN_AFTER_MS } from "@stepgate/core";
import { connections, unavailable } from "./connections.ts";
import type { PostgresPool } from "./pool-clients.ts";
import { DEFAULT_SCHEMA, quoted } from "./schema.ts";
import { mustBeCurrent } from "./schema-version.ts";

/** How long evidence is kept. */
export interface RetireOptions {
  /** Default `stepgate`. */
  readonly schema?: string;
  /** Sequences whose newest record is older may go. Default 184: six months. */
  readonly olderThanDays?: number;
  /** Must be set for fewer days than six months have: evidence is kept so long unless somebody decides otherwise. */
  readonly sooner?: true;
  /** Told after every batch of what came so far. */
  readonly progress?: (retirement: Retirement) => void;
  /** Milliseconds since 1970. Default: this machine's clock. */
  readonly now?: () => number;
}

/** What was done, and what was kept although it is old enough. */
export interface Retirement {
  readonly lookedAt: number;
  readonly sequences: number;
  readonly records: number;
  /** Sequences with records that no checkpoint covers: run `checkpointLog`, and export them. */
  readonly withoutIndex: number;
  /** Sequences with an ALLOW whose outcome nobody recorded: start its gate, which closes it. */
  readonly withOpenAllow: number;
}

const SIX_MONTHS_DAYS = 184;
const DAY_MS = 86_400_000;
/** So many sequences are looked at in one transaction. */
const AT_ONCE = 200;
const PATIENCE_MS = 60_000;

/**
 * Removes sequences that are sealed or past their lifetime, whose newest record is older than that, whose records all have
 * a leaf index and whose ALLOWs all have an outcome. Export archives before: afterwards `read` and `indexed` refuse them by
 * name, and `lines` leaves them out. No such sequence ever begins again; proofs and checkpoints hold as before. Counters
 * and other rows that nothing needs any more go too.
 *
 * @throws TypeError for fewer days than six months have without `sooner`, GateError STORE_UNAVAILABLE, also where the role
 *   may not delete.
 */
export async function retire(pool: PostgresPool, options: RetireOptions = {}): Promise<Retirement> {
  const { schema = DEFAULT_SCHEMA, olderThanDays = SIX_MONTHS_DAYS, sooner, progress } = options;
  if (!Number.isFinite(olderThanDays) || olderThanDays < 0)
    throw new TypeError("olderThanDays must be a number from 0 on");
  if (olderThanDays < SIX_MONTHS_DAYS && sooner !== true)
    throw new TypeError(
      `evidence is kept for ${SIX_MONTHS_DAYS} days unless somebody decides otherwise: say sooner: true to remove it after ${olderThanDays}`,
    );
  const at = quoted(schema);
  const cutoff = Math.floor((options.now?.() ?? Date.now()) - olderThanDays * DAY_MS);
  const database = connections(pool, PATIENCE_MS);
  let done: Retirement = {
    lookedAt: 0,
    sequences: 0,
    records: 0,
    withoutIndex: 0,
    withOpenAllow: 0,
  };
  try {
    await mustBeCurrent(database, schema);
    for (let after: unknown = ""; after !== null;) {
      const [row = {}] = await database.patiently(
        `SELECT * FROM ${at}.retire($1, $2, ${AT_ONCE})`,
        [cutoff, after],
      );
      after = row["last_name"] ?? null;
      done = {
        lookedAt: done.lookedAt + Number(row["looked_at"]),
        sequences: done.sequences + Number(row["sequences"]),
        records: done.records + Number(row["records"]),
        withoutIndex: done.withoutIndex + Number(row["unindexed"]),
        withOpenAllow: done.withOpenAllow + Number(row["open"]),
      };
      progress?.(done);
    }
    await database.patiently(`SELECT ${at}.tidy($1)`, [FORGOTTEN_AFTER_MS]);
    return done;
  } catch (cause) {
    throw unavailable("cannot retire sequences", cause);
  } finally {
    database.close();
  }
}
