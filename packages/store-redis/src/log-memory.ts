/** What a store object has seen of its log. A server that comes back with less than that has lost receipts, and is used no more. */
import { GateError } from "@stepgate/core";

/** See the top of this file. */
export interface LogMemory {
  /** The last position that was seen, 0 where none was. */
  readonly position: number;
  /** Its line. */
  readonly line: string | undefined;
  /** Takes in a record that stands at a position. */
  see(position: number, line: string): void;
  /** Notes that the log went back, for good, and gives the error to throw. */
  goneBack(): GateError;
  /** @throws GateError STORE_UNAVAILABLE where the log went back. */
  mustHold(): void;
}

/** Remembers nothing yet. */
export function logMemory(): LogMemory {
  let seen: { readonly position: number; readonly line?: string } = { position: 0 };
  let fault: GateError | undefined;
  return {
    get position() {
      return seen.position;
    },
    get line() {
      return seen.line;
    },
    see(position, line) {
      if (position > seen.position) seen = { position, line };
    },
    goneBack() {
      fault ??= new GateError(
        "STORE_UNAVAILABLE",
        `the server has lost records that it had acknowledged: the log had reached record ${seen.position}, which is gone or another now. ` +
          "Restore the log that had it (a former primary, or its append-only file), then start the gate anew; without it, begin a new log under another prefix",
      );
      return fault;
    },
    mustHold() {
      if (fault !== undefined) throw fault;
    },
  };
}
