/** The keys of one log. All of them bear one hash tag, so that a Redis Cluster keeps them in one slot and a script may move them together. */
import { hash } from "node:crypto";

/** Every key that a log has on its server. */
export interface LogKeys {
  /** A stream of all records in the order of their commits: entry `<position>-0`, positions from 1 on. */
  readonly log: string;
  /** Hashes: ALLOWs without an outcome by record hash, texts by digest, values by name, totals by counter. */
  readonly open: string;
  readonly documents: string;
  readonly settings: string;
  readonly counters: string;
  /** A sorted set of counters by the end of their windows. */
  readonly windows: string;
  /** A hash: `size`, and the tree's nodes by `level/index`. */
  readonly tree: string;
  /** The version of this layout. */
  readonly schema: string;
  /** Written before every WAIT, which counts only what its own connection wrote. */
  readonly written: string;
  /** The hash of one sequence: `h` how many records it has, `<seq>` their positions, `n<nonce>` what was burnt. */
  sequence(sequenceId: string): string;
}

const PREFIX = /^[A-Za-z0-9._:-]{1,64}$/;

/**
 * The keys under a prefix, which is the hash tag. Names of sequences are in them as digests: of one length, and unable to
 * end the tag or to begin another. @throws TypeError for a prefix that could.
 */
export function logKeys(prefix: string): LogKeys {
  if (typeof prefix !== "string" || !PREFIX.test(prefix))
    throw new TypeError("prefix must be 1 to 64 of the characters A-Z a-z 0-9 . _ : -");
  const key = (name: string): string => `{${prefix}}:${name}`;
  return {
    log: key("log"),
    open: key("open"),
    documents: key("documents"),
    settings: key("settings"),
    counters: key("counters"),
    windows: key("windows"),
    tree: key("tree"),
    schema: key("schema"),
    written: key("written"),
    sequence: (sequenceId) => key(`s:${hash("sha256", sequenceId, "base64url")}`),
  };
}
