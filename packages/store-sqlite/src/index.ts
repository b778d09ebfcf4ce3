/** The public surface of `@stepgate/store-sqlite`: the embedded default store. */
export type { BackUp, BackUpOptions, BackUpProgress } from "./back-up.ts";
export { checkSqlite } from "./check-sqlite.ts";
export { type SqliteStore, sqliteStore, type SqliteStoreOptions } from "./sqlite-store.ts";
