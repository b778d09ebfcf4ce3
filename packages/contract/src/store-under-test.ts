/** What the shared tests need of a kind of store: a new log of it, and a way for any process to open that log. */
import type { Store } from "@stepgate/core";

/**
 * One kind of store. Its package exports one of these as `storeUnderTest` from a module that loads outside of the test
 * runner, for other processes load it too.
 */
export interface StoreUnderTest {
  /** What commands call it, e.g. `sqlite`. */
  readonly name: string;
  /** The module that exports this: its `import.meta.url`. */
  readonly module: string;
  /** One more object over the log at `place`, as another process would have it. */
  open(place: string, options?: OpenOptions): Promise<Store>;
  /** Why this machine has no such store, in words that name what is missing; `undefined` where it has. */
  absent(): Promise<string | undefined>;
  /** An empty log of its own; starts what it needs. */
  newLog(): Promise<LogUnderTest>;
}

/** How a store is opened for a test. */
export interface OpenOptions {
  /** How long the store may wait for others before it answers `unknown`. Default: the store's own. */
  readonly patienceMs?: number;
}

/** A log, and the server that keeps it. */
export interface LogUnderTest {
  /** The path of a file, or the URL of a server with whatever tells this log from others on it. */
  readonly place: string;
  /** Only where the test started the server itself, so that it may be killed. */
  readonly server?: ServerUnderTest;
  /** Faults of this kind of store alone, by a name in kebab case: each begins when called, and ends with what it resolves to. */
  readonly faults?: Readonly<Record<string, () => Promise<() => Promise<void>>>>;
  /** Removes the log, and ends the server if it is this log's own. */
  remove(): Promise<void>;
}

/** A server process that faults are done to. It keeps its port and its data over all of them. */
export interface ServerUnderTest {
  /** On the loopback interface. */
  readonly port: number;
  /** Ends every process of it by SIGKILL, and resolves when they are gone. */
  kill(): Promise<void>;
  /** Starts it again on the same data, and resolves when it answers. */
  start(): Promise<void>;
  /** SIGSTOP to every process of it. */
  freeze(): void;
  /** SIGCONT to them. */
  thaw(): void;
}

/** A log as plain data, so that it can be told to another process. */
export interface LogPlace {
  readonly module: string;
  readonly place: string;
}

/** Opens a log that another process told of. @throws TypeError where the module exports no `storeUnderTest`. */
export async function openLog({ module, place }: LogPlace, options?: OpenOptions): Promise<Store> {
  return (await loadStoreUnderTest(module)).open(place, options);
}

/** The kind of store that a module exports. @throws TypeError where it exports none. */
export async function loadStoreUnderTest(module: string): Promise<StoreUnderTest> {
  const exported: unknown = await import(module);
  if (hasStoreUnderTest(exported)) return exported.storeUnderTest;
  throw new TypeError(`${module} exports no storeUnderTest`);
}

function hasStoreUnderTest(
  exported: unknown,
): exported is { readonly storeUnderTest: StoreUnderTest } {
  return typeof exported === "object" && exported !== null && "storeUnderTest" in exported;
}

/** Does `work` on a log of its own, and removes it whatever came of it. */
export async function onNewLog<T>(
  store: StoreUnderTest,
  work: (log: LogUnderTest, place: LogPlace) => Promise<T>,
): Promise<T> {
  const log = await store.newLog();
  try {
    return await work(log, { module: store.module, place: log.place });
  } finally {
    await log.remove();
  }
}
