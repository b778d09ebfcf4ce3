/** The kinds of store that a URL may name. Those on a server are loaded when they are asked for: few need every client. */
import { statSync } from "node:fs";
import { GateError, memoryStore, type Store, type StoreFinding } from "@stepgate/core";
import type { RetireOptions, Retirement } from "@stepgate/store-postgres";
import { type BackUp, type BackUpOptions, checkSqlite, sqliteStore } from "@stepgate/store-sqlite";
import { errorCode } from "./reading.ts";

/** One kind of store. */
export interface StoreScheme {
  /** How its URLs are written, for people. */
  readonly form: string;
  /** The beginnings of its URLs, each with its colon. */
  readonly begins: readonly [string, ...string[]];
  /** Whether a URL that begins so is one. */
  isUrl(url: string): boolean;
  /** Opens it; a new file is made where there is none. */
  open(url: string): Promise<Store>;
  /** Says why there is nothing to read there; `undefined` where there may be something. */
  absence(url: string): string | undefined;
  /** What a gate may rely on there. */
  check(url: string): Promise<readonly StoreFinding[]>;
  /** Makes its tables or brings them up to date, and says what it did. Absent where opening does. */
  readonly migrate?: (url: string, gateRoles: readonly string[]) => Promise<string>;
  /** Removes whole sequences that are old enough. Absent where nothing is ever removed. */
  readonly retire?: (url: string, options: RetireOptions) => Promise<Retirement>;
  /** Copies the log as it is at one moment. Absent where the server's own means do. */
  readonly backUp?: (url: string, file: string, options: BackUpOptions) => Promise<BackUp>;
}

const memory: StoreScheme = {
  form: "memory:",
  begins: ["memory:"],
  isUrl: (url) => url === "memory:",
  open: async () => memoryStore(),
  absence: () => "store 'memory:' ends with its process: there is nothing in it to read",
  check: async () => [
    {
      check: "durability",
      level: "warning",
      message: "every record is lost with the process that keeps it",
      fix: "use sqlite:PATH",
    },
  ],
};

const sqlite: StoreScheme = {
  form: "sqlite:PATH",
  begins: ["sqlite:"],
  isUrl: (url) => /^sqlite:(?!\/\/)./s.test(url),
  open: async (url) => sqliteStore(pathOf(url)),
  absence: (url) =>
    statSync(pathOf(url), { throwIfNoEntry: false })?.isFile() === true
      ? undefined
      : `${pathOf(url)}: there is no such store`,
  check: async (url) => checkSqlite(pathOf(url)),
  async backUp(url, file, options) {
    const store = sqliteStore(pathOf(url));
    try {
      return await store.backupTo(file, options);
    } finally {
      await store.close();
    }
  },
};

const postgres: StoreScheme = {
  form: "postgres://USER@HOST/DATABASE",
  begins: ["postgres:", "postgresql:"],
  isUrl: isServerUrl,
  open: async (url) => (await loadPostgres()).openPostgres(url),
  absence: () => undefined,
  async check(url) {
    const { checkPostgres, onPostgres } = await loadPostgres();
    return onPostgres(url, (pool, schema) => checkPostgres(pool, { schema }));
  },
  async migrate(url, gateRoles) {
    const { migrate, onPostgres } = await loadPostgres();
    const { from, to } = await onPostgres(url, (pool, schema) =>
      migrate(pool, { schema, gateRoles }),
    );
    return from === to ? `is of version ${to} already` : `brought from version ${from} to ${to}`;
  },
  async retire(url, options) {
    const { onPostgres, retire } = await loadPostgres();
    return onPostgres(url, (pool, schema) => retire(pool, { ...options, schema }));
  },
};

const redis: StoreScheme = {
  form: "redis://HOST",
  begins: ["redis:", "rediss:"],
  isUrl: isServerUrl,
  async open(url) {
    const { redisStore } = await loadRedis();
    return redisStore(await redisOptions(url));
  },
  absence: () => undefined,
  async check(url) {
    const { checkRedis } = await loadRedis();
    const { client, ...demands } = await redisOptions(url);
    return checkRedis(client, demands);
  },
};

/** Every kind, in the order in which they are told. */
export const SCHEMES: readonly StoreScheme[] = [memory, sqlite, postgres, redis];

function pathOf(url: string): string {
  return url.slice("sqlite:".length);
}

function isServerUrl(url: string): boolean {
  return URL.canParse(url) && new URL(url).hostname !== "";
}

function loadPostgres() {
  return loaded("@stepgate/store-postgres pg", () => import("@stepgate/store-postgres"));
}

function loadRedis() {
  return loaded(REDIS, () => import("@stepgate/store-redis"));
}

const REDIS = "@stepgate/store-redis @redis/client";
const DURABILITIES = ["always", "everysec"] as const;

/** Where the log lies is the URL's, and so is what must hold a record before it counts: `?replicas=1&prefix=payments`. */
async function redisOptions(url: string) {
  const { createClient } = await loaded(REDIS, () => import("@redis/client"));
  const address = new URL(url);
  const {
    prefix,
    replicas = "0",
    durability = "always",
    ...stray
  } = Object.fromEntries(address.searchParams);
  const kind = DURABILITIES.find((one) => one === durability);
  const [unknown] = Object.keys(stray);
  if (unknown !== undefined || kind === undefined || !/^[0-9]$/.test(replicas))
    throw new GateError(
      "INVALID_INPUT",
      `${address.host}: after '?' may stand prefix=NAME, replicas=0 to 9 and durability=always or everysec`,
    );
  address.search = "";
  return {
    client: createClient({ url: address.href }),
    replicas: Number(replicas),
    durability: kind,
    ...(prefix === undefined ? {} : { prefix }),
  };
}

/** @throws GateError UNSUPPORTED that says what to install, where it is not there. */
async function loaded<T>(packages: string, load: () => Promise<T>): Promise<T> {
  try {
    return await load();
  } catch (cause) {
    if (errorCode(cause) !== "ERR_MODULE_NOT_FOUND") throw cause;
    const fault = `this kind of store is not installed: npm install ${packages}`;
    throw new GateError("UNSUPPORTED", fault, { cause });
  }
}
