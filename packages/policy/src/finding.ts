/** A fault before it is tied to a line: the path into the document, and where in a string it stands. */
import type { Position } from "./source-document.ts";

/** The members and indexes that lead to a value. */
export type Path = readonly (string | number)[];

/** A fault at a path. The source document turns it into an issue with line and column. */
export interface Finding {
  readonly path: Path;
  readonly message: string;
  readonly hint?: string;
  /** Point at the member's name; otherwise at its value. */
  readonly on?: "key";
  /** Point at this character of the string at `path`, counted from 0. */
  readonly offset?: number;
  /** Known already, where the fault has no path. */
  readonly position?: Position;
}

/** A warning about what is written, whatever the order. */
export interface Lint extends Finding {
  readonly code: LintCode;
}

/** Stable, for filters and SARIF. */
export type LintCode =
  | "cel-arithmetic"
  | "ungrounded-argument"
  | "unknown-argument"
  | "unknown-name";

/** `tools.transfer_funds.function`, as errors and rules spell a path. */
export function pathText(path: Path): string {
  return path.join(".");
}

/** True where `path` is `root` or lies below it. */
export function isWithin(path: Path, root: Path): boolean {
  return path.length >= root.length && root.every((part, index) => path[index] === part);
}
