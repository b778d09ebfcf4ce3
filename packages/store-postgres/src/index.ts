/** The public surface of `@stepgate/store-postgres`: one log for many gates on many machines. */
export { checkPostgres, type CheckOptions } from "./check-postgres.ts";
export type { PostgresClient, PostgresPool } from "./pool-clients.ts";
export { migrate, type MigrateOptions, type Migration } from "./migrate.ts";
export { postgresStore, type PostgresStoreOptions } from "./postgres-store.ts";
export { retire, type RetireOptions, type Retirement } from "./retire.ts";
export { onPostgres, openPostgres, type PostgresUrlOptions } from "./store-url.ts";
