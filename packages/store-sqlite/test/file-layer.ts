/** The layer of shim.c between a process and its files: built with the machine's own compiler, put before the C library. */
import { spawnSync } from "node:child_process";
import { mkdtempSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

/** What the layer is to do with the files of one folder. */
export interface FileLayer {
  readonly folder: string;
  /** Where to write what is done to them; appended to. */
  readonly trace?: string;
  /** Which call fails, and how: `call:number:errno[:more]`, see shim.c. */
  readonly fail?: string;
  /** A file that says so while the process runs. */
  readonly failFile?: string;
}

/** Numbers of errors, as Linux has them. */
export const ERRNO = { EIO: 5, EMFILE: 24, ENOSPC: 28, EROFS: 30 } as const;

const COMPILER = "cc";
let built: string | undefined;

/** Builds the layer; a reason where this machine cannot. */
export function buildLayer(): { readonly library: string } | { readonly missing: string } {
  if (process.platform !== "linux") return { missing: "the file layer is for Linux" };
  const library = (built ??= join(mkdtempSync(join(tmpdir(), "stepgate-layer-")), "shim.so"));
  const source = fileURLToPath(new URL("shim.c", import.meta.url));
  const flags = ["-shared", "-fPIC", "-O1", "-Wall", "-Wextra", "-Werror"];
  const { error, status, stderr } = spawnSync(COMPILER, [...flags, "-o", library, source, "-ldl"]);
  if (error !== undefined) return { missing: "there is no C compiler (cc)" };
  if (status !== 0) throw new Error(`cc refused shim.c: ${String(stderr)}`);
  return { library };
}

/** The environment of a process that is to have the layer. */
export function layerEnvironment(library: string, layer: FileLayer): Record<string, string> {
  const { folder, trace, fail, failFile } = layer;
  return {
    LD_PRELOAD: library,
    SHIM_FOLDER: folder,
    ...(trace === undefined ? {} : { SHIM_TRACE: trace }),
    ...(fail === undefined ? {} : { SHIM_FAIL: fail }),
    ...(failFile === undefined ? {} : { SHIM_FAIL_FILE: failFile }),
  };
}

/** Lets a running process fail from now on, or delay its syncs; an empty text lets it go on. */
export function setFailure(failFile: string, text: string): void {
  writeFileSync(failFile, text);
}
