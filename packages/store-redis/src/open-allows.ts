/** ALLOWs without an outcome, in a hash by the hashes of their records. */
import type { OpenAllow } from "@stepgate/core";
import type { LogKeys } from "./log-keys.ts";
import type { Ask } from "./session.ts";

const PAGE = 512;

/** What is kept of one under its hash. */
export function openAllowValue({
  sequence_id,
  gate_id,
  expires_ms,
}: Omit<OpenAllow, "hash">): string {
  return JSON.stringify([sequence_id, gate_id, expires_ms]);
}

/**
 * All of them, a page at a time. HSCAN answers everything that is there from its first page to its last, some of it
 * twice where the hash was resized meanwhile.
 */
export async function* openAllows(ask: Ask, keys: LogKeys): AsyncGenerator<OpenAllow> {
  const told = new Set<string>();
  let cursor = "0";
  do {
    const from = cursor;
    const reply = await ask(({ send }) => send("HSCAN", keys.open, from, "COUNT", `${PAGE}`));
    const [next, fields]: unknown[] = Array.isArray(reply) ? reply : [];
    if (!Array.isArray(fields)) throw new Error("the server answered something else than ALLOWs");
    for (let at = 0; at < fields.length; at += 2) {
      const hash = String(fields[at]);
      if (!told.has(hash)) yield readOpenAllow(hash, String(fields[at + 1]));
      told.add(hash);
    }
    cursor = String(next);
  } while (cursor !== "0");
}

function readOpenAllow(hash: string, value: string): OpenAllow {
  const [sequence_id, gate_id, expires_ms]: unknown[] = JSON.parse(value);
  if (
    typeof sequence_id !== "string" ||
    typeof gate_id !== "string" ||
    typeof expires_ms !== "number"
  )
    throw new Error("an open ALLOW of the log is none of this store's");
  return { sequence_id, hash, gate_id, expires_ms };
}
