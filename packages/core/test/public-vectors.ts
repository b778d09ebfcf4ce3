/** Where the public test vectors lie, beside the repository; tests that need them report themselves skipped without. */
import { existsSync, readdirSync, readFileSync } from "node:fs";

const ROOT = new URL("../../../../shared/vectors/", import.meta.url);

/** True where this vector file or folder is present. */
export function hasVectors(path: string): boolean {
  return existsSync(new URL(path, ROOT));
}

/** The text of one vector file. */
export function readVector(path: string): string {
  return readFileSync(new URL(path, ROOT), "utf8");
}

/** The names of the files of one vector folder; none where it is absent. */
export function vectorNames(path: string): readonly string[] {
  return hasVectors(path) ? readdirSync(new URL(path, ROOT)).sort() : [];
}
