/** Mutants by who holds the gate's key and signs a batch that is none: of two gates, or of more of a sequence than one commit has. */
import type { SigningKey } from "@stepgate/core";
import { bytesOf, type Draft, hashOf, type Mutant, parsed, written } from "./mutant.ts";
import { NEXT_KEY, type RotatedLog } from "./rotated-log.ts";
import { isObject, type JsonObject } from "./second-json.ts";
import { treeOver } from "./second-log.ts";

/** Batches of records of the log's last sequence, which is the next key's, in place of how they were signed. */
export function* batchMutants({ lines, keys }: RotatedLog): Generator<Mutant> {
  const [open, decision, outcome, denial] = lines.slice(-4).map(parsed);
  if (!isObject(open) || !isObject(decision) || !isObject(outcome) || !isObject(denial)) return;
  const head = lines.slice(0, -4);
  const as = (name: string, tail: readonly string[], code?: string): Mutant => ({
    attack: "batch path or index changed",
    name,
    file: bytesOf([...head, ...tail]),
    expected:
      code === undefined
        ? { verdict: "OPEN,OPEN,OPEN,OPEN" }
        : { findings: [`${head.length + tail.length} ${code}`] },
    trust: { keys },
  });
  const [opened, decided] = lines.slice(-4);
  const start = [opened ?? "", decided ?? ""];
  const stranger = { ...denial, gate_id: "gate-2" };
  yield as(
    "an opening and its decision in a batch of four with two others",
    batchOf([open, decision, parsed(lines[0]), parsed(lines[5])]).slice(0, 2),
  );
  yield as(
    "two records of one sequence in one batch",
    [...start, ...batchOf([outcome, denial])],
    "BAD_SIGNATURE",
  );
  yield as(
    "two records of two gates in one batch",
    [...start, ...batchOf([outcome, stranger])],
    "BAD_SIGNATURE",
  );
  yield as(
    "an opening behind its decision in one batch",
    batchOf([decision, open]).toReversed(),
    "BAD_SIGNATURE",
  );
  yield as(
    "an opening and an outcome in one batch",
    turned(batchOf([open, outcome]), decided ?? ""),
    "BAD_SIGNATURE",
  );
}

/** The outcome stands after the decision, wherever it was signed. */
function turned([open = "", outcome = ""]: readonly string[], decision: string): readonly string[] {
  return [open, decision, outcome];
}

/** Lines of these records, signed together. */
function batchOf(drafts: readonly Draft[], key: SigningKey = NEXT_KEY): readonly string[] {
  const bodies = drafts.map(({ batch: _batch, sig: _sig, ...body }): Draft => ({
    ...body,
    key_id: key.keyId,
  }));
  const leaves = bodies.map((body) =>
    Buffer.from(hashOf(written(body)).slice("sha256:".length), "hex"),
  );
  const size = leaves.length;
  const text = `stepgate.batch/1\n${String(bodies[0]?.["log_id"])}\n${size}\n${treeOver(leaves).toString("hex")}`;
  const sig = `ed25519=${Buffer.from(key.sign(Buffer.from(text)) as Uint8Array).toString("hex")}`;
  return bodies.map((body, index) => {
    const batch: JsonObject = { size, index, path: pathTo(leaves, index), sig };
    return written({ ...body, batch });
  });
}

/** RFC 6962, 2.1.1. */
function pathTo(leaves: readonly Buffer[], index: number): readonly string[] {
  if (leaves.length === 1) return [];
  let left = 1;
  while (left * 2 < leaves.length) left *= 2;
  const [below, beside] = [leaves.slice(0, left), leaves.slice(left)];
  return index < left
    ? [...pathTo(below, index), treeOver(beside).toString("hex")]
    : [...pathTo(beside, index - left), treeOver(below).toString("hex")];
}
