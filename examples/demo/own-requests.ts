/** A user's own requests, one JSON object a line, through a gate with the user's own policy. */
import { readFile } from "node:fs/promises";
import { type ActionInput, type Gate, JsonError, parseStrictJson } from "stepgate";
import { narrated, say } from "./narrator.ts";

/** Decides the requests of a JSONL file in order; on ALLOW the “action” is to say so. */
export async function decideOwn(gate: Gate, file: string): Promise<void> {
  say(`The requests of ${file}`);
  const told = narrated(gate, "request");
  const lines = (await readFile(file, "utf8")).split("\n").filter((line) => line.trim() !== "");
  for (const [index, line] of lines.entries()) {
    const input = read(line, `${file}:${index + 1}`);
    if (input === undefined) continue;
    await told
      .enforce(input, () => "done")
      .catch((error: unknown) => {
        if (!(error instanceof Error) || error.name !== "DeniedError") throw error;
      });
  }
}

/** The gate reads untrusted input itself; here it only has to be JSON. */
function read(line: string, at: string): ActionInput | undefined {
  try {
    return parseStrictJson(line) as unknown as ActionInput;
  } catch (error) {
    if (!(error instanceof JsonError)) throw error;
    console.error(`${at}: ${error.message}`);
    process.exitCode = 1;
    return undefined;
  }
}
