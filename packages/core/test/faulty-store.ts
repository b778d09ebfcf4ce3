/** A real store behind a line that a test cuts: each method can throw, hang, lie about what it did, or return nonsense. */
import type { AppendResult, Store } from "../src/index.ts";

/** What goes wrong with one method until it is mended. */
export type StoreFault =
  | "throws"
  | "rejects"
  | "hangs"
  /** The result never comes, but the store did it. */
  | "hangs, done"
  | "rejects, done"
  | { readonly says: unknown; readonly done: boolean };

type Method = "setting" | "append" | "read" | "keep" | "counters";

/** The store to hand to a gate, and the switch. */
export interface FaultyStore {
  readonly store: Store;
  /** From now on this method fails so. */
  cut(method: Method, fault: StoreFault): void;
  /** What `read` returns is made into this. */
  garble(lines: (lines: readonly string[]) => unknown): void;
  mend(): void;
}

/** Every result that an append may have or pretend to have, and every way in which it may fail to. */
export const APPEND_FAULTS: readonly (readonly [name: string, fault: StoreFault])[] = [
  ["throws", "throws"],
  ["rejects", "rejects"],
  ["rejects though it wrote", "rejects, done"],
  ["is unknown, and did not write", { says: "unknown" satisfies AppendResult, done: false }],
  ["is unknown, and wrote", { says: "unknown" satisfies AppendResult, done: true }],
  ["is lost for ever", { says: "lost" satisfies AppendResult, done: false }],
  ["is a replay for ever", { says: "replay" satisfies AppendResult, done: false }],
  ["is limited for ever", { says: "limited" satisfies AppendResult, done: false }],
  ["is nothing", { says: undefined, done: false }],
  ["is a word that nobody knows", { says: "WON", done: false }],
  ["is true", { says: true, done: false }],
  ["is an object", { says: { result: "won" }, done: true }],
];

/** Puts the line before `real`. Nothing is cut at first. */
export function faultyStore(real: Store): FaultyStore {
  const faults = new Map<Method, StoreFault>();
  let garbled: ((lines: readonly string[]) => unknown) | undefined;

  function through<A extends readonly unknown[], R>(
    method: Method,
    work: (...args: A) => Promise<R>,
  ): (...args: A) => Promise<R> {
    return (...args) => {
      const fault = faults.get(method);
      if (fault === undefined) return work(...args);
      if (fault === "throws") throw new Error(`${method}: the disk is gone`);
      if (fault === "rejects") return Promise.reject(new Error(`${method}: the disk is gone`));
      if (fault === "hangs") return new Promise(() => {});
      if (fault === "hangs, done") return work(...args).then(() => new Promise(() => {}));
      if (fault === "rejects, done")
        return work(...args).then(() => Promise.reject(new Error(`${method}: the line is cut`)));
      return (fault.done ? work(...args) : Promise.resolve()).then(() => fault.says as R);
    };
  }

  const read = through("read", (id: string, from: number, count?: number) =>
    real.read(id, from, count),
  );
  return {
    store: {
      ...real,
      setting: through("setting", (name: string, value: string) => real.setting(name, value)),
      append: through("append", (append) => real.append(append)),
      counters: through("counters", (names: readonly string[]) => real.counters(names)),
      keep: through("keep", (documents) => real.keep(documents)),
      read: async (id, from, count) => {
        const lines = await read(id, from, count);
        return garbled === undefined ? lines : (garbled(lines) as readonly string[]);
      },
    },
    cut: (method, fault) => void faults.set(method, fault),
    garble: (change) => void (garbled = change),
    mend() {
      faults.clear();
      garbled = undefined;
    },
  };
}
