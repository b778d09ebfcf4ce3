/** Files that a command makes, and never one that is there already. */
import { access, writeFile } from "node:fs/promises";
import type { GateError } from "@stepgate/core";
import { errorCode, reasonOf, unreadable } from "./reading.ts";

/** @throws GateError INVALID_INPUT where something has this name; `command` is who would have written. */
export async function mustBeFree(file: string, command: string): Promise<void> {
  const taken = await access(file).then(
    () => true,
    (cause: unknown) => errorCode(cause) !== "ENOENT",
  );
  if (taken) throw occupied(file, command);
}

/** Writes the file in one with making it. @throws GateError INVALID_INPUT where it is there, or cannot be written. */
export async function writeNew(file: string, text: string, command: string): Promise<void> {
  await writeFile(file, text, { flag: "wx" }).catch((cause: unknown) => {
    throw errorCode(cause) === "EEXIST"
      ? occupied(file, command)
      : unreadable(file, reasonOf(cause), cause);
  });
}

function occupied(file: string, command: string): GateError {
  return unreadable(file, `is there already; ${command} overwrites nothing`);
}
