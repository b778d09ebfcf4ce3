/** Arguments that are disclosed against receipts: JSONL, `{decision, args, args_key}`, the decision by its record hash. */
import { type DecisionReceipt, disclosesArguments, type JsonObject } from "@stepgate/core";
import { decodeText, fileChunks, readJson, readLines, unreadable } from "./reading.ts";

/** The arguments of a record, where they are given. @throws GateError INVALID_INPUT where they are not its arguments. */
export type Disclosures = (receipt: DecisionReceipt, hash: string) => JsonObject | undefined;

interface Disclosure {
  readonly args: JsonObject;
  readonly args_key: string;
  readonly at: string;
}

/** Reads a file of disclosures; without one nothing is disclosed. @throws GateError INVALID_INPUT, `file:line:column`. */
export async function readDisclosures(file: string | undefined): Promise<Disclosures> {
  const given = new Map<string, Disclosure>();
  if (file !== undefined)
    for await (const { bytes, number } of readLines(fileChunks(file), file)) {
      const at = `${file}:${number}:1`;
      if (bytes.length === 0) continue;
      const { decision, ...disclosure } = readDisclosure(decodeText(bytes, at), file, number);
      given.set(decision, { ...disclosure, at });
    }
  return (receipt, hash) => {
    const found = given.get(hash);
    if (found === undefined) return undefined;
    if (disclosesArguments(receipt, found.args, found.args_key)) return found.args;
    const record = `${receipt.sequence_id} #${receipt.seq}`;
    throw unreadable(found.at, `args or args_key are not those of the record ${record}`);
  };
}

function readDisclosure(
  text: string,
  file: string,
  line: number,
): { readonly decision: string; readonly args: JsonObject; readonly args_key: string } {
  const value = readJson(text, file, line);
  const members =
    typeof value === "object" && value !== null && !Array.isArray(value)
      ? new Map(Object.entries(value))
      : new Map<string, never>();
  const [decision, args, args_key] = ["decision", "args", "args_key"].map((name) =>
    members.get(name),
  );
  if (
    members.size !== 3 ||
    typeof decision !== "string" ||
    typeof args !== "object" ||
    args === null ||
    Array.isArray(args) ||
    typeof args_key !== "string" ||
    !/^[0-9a-f]{64}$/.test(args_key)
  )
    throw unreadable(
      `${file}:${line}:1`,
      'a line is {"decision": record hash, "args": object, "args_key": 64 hex digits}',
    );
  return { decision, args: args as JsonObject, args_key };
}
