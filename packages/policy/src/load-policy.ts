/** A policy from a file. */
import { readFile } from "node:fs/promises";
import type { CompiledPolicy } from "@stepgate/core/compiler";
import { parsePolicy } from "./parse-policy.ts";

/** Reads a file and parses it. @throws PolicyError for what is in it; the file system's own errors pass through. */
export async function loadPolicy(path: string | URL): Promise<CompiledPolicy> {
  return parsePolicy(await readFile(path, "utf8"), { file: String(path) });
}
