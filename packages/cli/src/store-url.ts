/** Store URLs: `memory:` and `sqlite:PATH`. */
import { statSync } from "node:fs";
import { GateError, memoryStore, type Store } from "@stepgate/core";
import { sqliteStore } from "@stepgate/store-sqlite";

/** The store of a first program, in the current folder. */
export const DEFAULT_STORE = "sqlite:stepgate.db";

/**
 * Opens the store that a URL names; a new file is made where there is none.
 *
 * @throws GateError UNSUPPORTED for another scheme, INVALID_INPUT for what is no store URL, STORE_UNAVAILABLE.
 */
export async function openStore(url: string): Promise<Store> {
  const path = pathOf(url);
  return path === undefined ? memoryStore() : sqliteStore(path);
}

/** Opens a store that must be there already: what only reads must not make an empty one. @throws as {@link openStore}. */
export async function openExistingStore(url: string): Promise<Store> {
  const path = pathOf(url);
  if (path === undefined)
    throw new GateError(
      "INVALID_INPUT",
      "store 'memory:' ends with its process: there is nothing in it to read",
    );
  if (!statSync(path, { throwIfNoEntry: false })?.isFile())
    throw new GateError("STORE_UNAVAILABLE", `${path}: there is no such store`);
  return sqliteStore(path);
}

/** The file of an SQLite store; `undefined` for memory. */
function pathOf(url: string): string | undefined {
  const [, scheme, rest = ""] = /^([A-Za-z][A-Za-z0-9+.-]*):(.*)$/s.exec(url) ?? [];
  if (scheme === undefined)
    throw new GateError(
      "INVALID_INPUT",
      `store '${url}': a store is memory: or sqlite:PATH, such as sqlite:${url || "stepgate.db"}`,
    );
  if (scheme === "memory" && rest === "") return undefined;
  if (scheme === "sqlite" && rest !== "" && !rest.startsWith("//")) return rest;
  if (scheme === "sqlite" || scheme === "memory")
    throw new GateError(
      "INVALID_INPUT",
      `store '${url}': write memory:, or sqlite: and a path (sqlite:gate.db, sqlite:/var/lib/gate.db)`,
    );
  // Not the whole URL: a password may stand in it.
  throw new GateError(
    "UNSUPPORTED",
    `store scheme '${scheme}:' is not supported; a store is memory: or sqlite:PATH`,
  );
}

/** The lines of one sequence, in order. */
export async function* chainOf(store: Store, sequence: string): AsyncGenerator<string> {
  for (let from = 0; ; from += PAGE) {
    const lines = await store.read(sequence, from, PAGE);
    yield* lines;
    if (lines.length < PAGE) return;
  }
}

const PAGE = 1000;
