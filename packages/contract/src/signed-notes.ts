/** Signed notes and checkpoints made by hand, as the pages of C2SP have them: also such as no gate would sign. */
import { createHash } from "node:crypto";
import type { SigningKey } from "@stepgate/core";
import { hashOf, parsed } from "./mutant.ts";
import { treeOver } from "./second-log.ts";

/** A checkpoint of the log of these lines: origin, size and root, signed. */
export function checkpointOf(lines: readonly string[], key: SigningKey): string {
  const origin = `stepgate/${String(parsed(lines[0])["log_id"])}`;
  const root = treeOver(lines.map((line) => Buffer.from(hashOf(line).slice(7), "hex")));
  return signedNote(`${origin}\n${lines.length}\n${root.toString("base64")}\n`, origin, key);
}

/** A note of this text, signed under this name. */
export function signedNote(text: string, name: string, key: SigningKey): string {
  return `${text}\n${signatureLine(text, name, key)}`;
}

/** A further signature of a note's text. */
export function signatureLine(text: string, name: string, key: SigningKey): string {
  const raw = Buffer.from(key.publicJwk.x, "base64url");
  const id = createHash("sha256").update(`${name}\n\u0001`).update(raw).digest().subarray(0, 4);
  const signature = key.sign(Buffer.from(text)) as Uint8Array;
  return `\u2014 ${name} ${Buffer.concat([id, signature]).toString("base64")}\n`;
}
