/** Where sequences end, as one connection knows it: most appends follow one of its own, and look nothing up. */
import type { DatabaseSync } from "node:sqlite";

/** The end of a sequence. One that has no record yet has no number, and ends at -1. */
export interface SequenceEnd {
  /** As other rows name the sequence. */
  id: number | undefined;
  /** Its last place. */
  seq: number;
}

/** What is known of the ends of sequences, under the write lock. */
export interface Heads {
  /** To be called once the lock is held: where another connection wrote since, all that was known is forgotten. */
  refresh(): void;
  /** The end of a sequence. Whoever appends moves it on. */
  of(name: string): SequenceEnd;
  /** To be called where a transaction was undone that may have moved some on. */
  forget(): void;
}

/** Beyond so many, some tens of bytes each and their names, all are forgotten. */
const MOST = 50_000;

/** Knows nothing yet. */
export function createHeads(database: DatabaseSync): Heads {
  const ends = new Map<string, SequenceEnd>();
  const sequence = database.prepare("SELECT id FROM sequence WHERE name = ?");
  const head = database.prepare("SELECT max(seq) AS seq FROM record WHERE sequence = ?");
  // Changes with every commit of another connection, also one of this process, and with none of this one's own.
  const version = database.prepare("PRAGMA data_version");
  let seen: unknown;

  function lookUp(name: string): SequenceEnd {
    const id = sequence.get(name)?.["id"];
    return typeof id === "number"
      ? { id, seq: Number(head.get(id)?.["seq"] ?? -1) }
      : { id: undefined, seq: -1 };
  }

  return {
    refresh() {
      const now = version.get()?.["data_version"];
      if (now !== seen || ends.size > MOST) ends.clear();
      seen = now;
    },
    of(name) {
      let end = ends.get(name);
      if (end === undefined) {
        end = lookUp(name);
        ends.set(name, end);
      }
      return end;
    },
    forget() {
      ends.clear();
    },
  };
}
