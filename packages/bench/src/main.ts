/** `pnpm bench [--json]`: what this machine does, beside its own floors, as ratios in one run. */
import { parseArgs } from "node:util";
import { adapterOverheads } from "./adapters.ts";
import { batchSigning, batchVerification } from "./batch-signatures.ts";
import { memoryDecisions, sqliteDecisions } from "./decisions.ts";
import type { Section } from "./measure.ts";
import { pureDecisions } from "./pure-decisions.ts";
import { machine, printSection } from "./print.ts";
import { simulatedCalls } from "./simulated-calls.ts";

const { values } = parseArgs({ options: { json: { type: "boolean", default: false } } });
const sections: Section[] = [];
if (!values.json) console.log(`Node ${machine().node}, ${machine().cores} × ${machine().cpu}`);
for (const measure of [
  pureDecisions,
  simulatedCalls,
  memoryDecisions,
  batchSigning,
  batchVerification,
  sqliteDecisions,
  adapterOverheads,
]) {
  const section = await measure();
  sections.push(section);
  if (!values.json) printSection(section);
}
if (values.json) console.log(JSON.stringify({ machine: machine(), sections }));
