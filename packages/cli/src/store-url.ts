/** Store URLs: `memory:`, `sqlite:PATH`, `postgres://…`, `redis://…`. */
import { GateError, type Store } from "@stepgate/core";
import { SCHEMES, type StoreScheme } from "./store-schemes.ts";

/** The store of a first program, in the current folder. */
export const DEFAULT_STORE = "sqlite:stepgate.db";

/** What `--store` takes, for its help. */
export const STORE_FORMS: string = SCHEMES.map(({ form }) => form).join(", ");

/**
 * Opens the store that a URL names; a new file is made where there is none.
 *
 * @throws GateError UNSUPPORTED for another scheme or a client that is not installed, INVALID_INPUT for what is no store
 *   URL, STORE_UNAVAILABLE.
 */
export async function openStore(url: string): Promise<Store> {
  return schemeOf(url).open(url);
}

/** Opens a store that must be there already: what only reads must not make an empty one. @throws as {@link openStore}. */
export async function openExistingStore(url: string): Promise<Store> {
  const scheme = schemeOf(url);
  const absence = scheme.absence(url);
  if (absence !== undefined)
    throw new GateError(url === "memory:" ? "INVALID_INPUT" : "STORE_UNAVAILABLE", absence);
  return scheme.open(url);
}

/** A store's URL as messages may show it: without a password, and what follows the address. */
export function shownStore(url: string): string {
  if (!URL.canParse(url)) return url;
  const { protocol, host, pathname, username } = new URL(url);
  return host === ""
    ? url
    : `${protocol}//${username === "" ? "" : `${username}@`}${host}${pathname}`;
}

/** The kind of store that a URL names. @throws GateError UNSUPPORTED or INVALID_INPUT. */
export function schemeOf(url: string): StoreScheme {
  const [begin] = /^[A-Za-z][A-Za-z0-9+.-]*:/.exec(url) ?? [];
  if (begin === undefined)
    throw new GateError(
      "INVALID_INPUT",
      `store '${url}': a store is ${STORE_FORMS}, such as sqlite:${url || "stepgate.db"}`,
    );
  const scheme = SCHEMES.find(({ begins }) => begins.includes(begin));
  // Not the whole URL: a password may stand in it.
  if (scheme === undefined)
    throw new GateError(
      "UNSUPPORTED",
      `store scheme '${begin}' is not supported; a store is ${STORE_FORMS}`,
    );
  if (scheme.isUrl(url)) return scheme;
  throw new GateError("INVALID_INPUT", `store '${begin}…': write ${scheme.form}`);
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
