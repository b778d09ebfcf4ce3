/** The public surface of `@stepgate/store-sqlite`: the embedded default store. */
export { sqliteStore, type SqliteStoreOptions } from "./sqlite-store.ts";
