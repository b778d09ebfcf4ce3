/** The log's tree: which records have a leaf index, which is their order of commit, and the nodes over them. */
import type { Indexing, LogEnd, NodePlace } from "@stepgate/core";
import { entriesOf, type LogEntry } from "./log-entries.ts";
import type { LogKeys } from "./log-keys.ts";
import { INDEX } from "./scripts.ts";
import type { Ask, Commands, Work } from "./session.ts";

const SIZE = "size";

/** Where the tree ends. Between the two looks others may index more: then what is named here is lost when it is indexed. */
export async function logEnd(ask: Ask, keys: LogKeys, count: number): Promise<LogEnd> {
  const size = await ask((commands) => treeSize(commands, keys));
  if (count === 0) return { size, records: [] };
  const reply = await ask(({ send }) =>
    send("XRANGE", keys.log, `${size + 1}-0`, "+", "COUNT", `${count}`),
  );
  const records = entriesOf(reply).map(({ sequence_id, seq, line }) => {
    return { sequence_id, seq, line };
  });
  return { size, records };
}

/** True where these records are those that follow the tree. Places never change: what is true stays so. */
export function areNext({ size, leaves }: Indexing, keys: LogKeys): Work<boolean> {
  return async ({ send }) => {
    const places = leaves.map(({ sequence_id, seq }) =>
      send("HGET", keys.sequence(sequence_id), `${seq}`),
    );
    return (await Promise.all(places)).every((place, at) => place === `${size + at + 1}`);
  };
}

/** Gives leaf indexes to records that are next, unless the tree has another size by now. */
export function indexRecords(
  { size, leaves, nodes }: Indexing,
  keys: LogKeys,
): Work<"won" | "lost"> {
  const bottom = leaves.map(({ hash }, at) => ({ level: 0, index: size + at, hash }));
  const fields = [...bottom, ...nodes].flatMap((node) => [fieldOf(node), node.hash]);
  const args = [`${size}`, `${leaves.length}`, ...fields];
  return async ({ run }) =>
    (await run(INDEX, [keys.tree, keys.log], args)) === 1 ? "won" : "lost";
}

/** The hashes of nodes; `undefined` where one is not full yet. */
export function nodesAt(
  places: readonly NodePlace[],
  keys: LogKeys,
): Work<readonly (string | undefined)[]> {
  return async ({ send }) => {
    const reply = await send("HMGET", keys.tree, ...places.map(fieldOf));
    if (!Array.isArray(reply)) throw new Error("the server answered something else than nodes");
    return reply.map((hash: unknown) => (typeof hash === "string" ? hash : undefined));
  };
}

/** Lines in the order of their leaf indexes. */
export function indexedLines(from: number, count: number, keys: LogKeys): Work<readonly string[]> {
  return async (commands) => {
    // The size is asked for last, and only grows: what has an index by then is in the page.
    const [page, size] = await Promise.all([
      commands.send("XRANGE", keys.log, `${from + 1}-0`, "+", "COUNT", `${count}`),
      treeSize(commands, keys),
    ]);
    const has = ({ position }: LogEntry): boolean => position <= size;
    return entriesOf(page)
      .filter(has)
      .map(({ line }) => line);
  };
}

/** The leaf index of a record; `undefined` where it has none, or is not there. */
export function leafOf(sequenceId: string, seq: number, keys: LogKeys): Work<number | undefined> {
  return async (commands) => {
    const [place, size] = await Promise.all([
      commands.send("HGET", keys.sequence(sequenceId), `${seq}`),
      treeSize(commands, keys),
    ]);
    const position = Number(place ?? Number.POSITIVE_INFINITY);
    return position <= size ? position - 1 : undefined;
  };
}

async function treeSize({ send }: Commands, { tree }: LogKeys): Promise<number> {
  return Number((await send("HGET", tree, SIZE)) ?? 0);
}

function fieldOf({ level, index }: NodePlace): string {
  return `${level}/${index}`;
}
