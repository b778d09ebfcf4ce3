/** `pnpm demo`: the story of a loan run, or your own policy and requests; ends by verifying what it left behind. */
import { mkdir, rm } from "node:fs/promises";
import { parseArgs } from "node:util";
import { openGate } from "stepgate";
import { decideOwn } from "./own-requests.ts";
import { tellStory } from "./story.ts";
import { leaveEvidence, showTampering, verifyEvidence } from "./evidence.ts";

const { values } = parseArgs({
  options: { policy: { type: "string" }, requests: { type: "string" } },
});
if ((values.policy === undefined) !== (values.requests === undefined)) {
  console.error("usage: pnpm demo [--policy POLICY.yaml --requests REQUESTS.jsonl]");
  process.exit(2);
}

const out = "demo-out";
await rm(out, { recursive: true, force: true });
await mkdir(out);
const policy = values.policy ?? new URL("policy.yaml", import.meta.url);
const store = `sqlite:${out}/gate.db`;
const keys = `${out}/.stepgate`;
const gate = await openGate({ policy, store, keys });
try {
  if (values.requests === undefined) await tellStory(gate);
  else await decideOwn(gate, values.requests);
} finally {
  await gate.close();
}
await leaveEvidence({ store, keys, out });
const report = await verifyEvidence(out);
const caught = await showTampering(out);
if (report.result !== "sound" || !caught) process.exitCode = 1;
