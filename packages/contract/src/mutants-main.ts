/** Judges every mutant of the file of 5,000 records by both verifiers, or each nth: `node mutants-main.ts [n]`. */
import { disagreement, judge } from "./judge-mutants.ts";
import { receiptMutants } from "./receipt-mutants.ts";
import { bytesOf } from "./mutant.ts";
import { soundReceipts } from "./sound-receipts.ts";

const every = Number(process.argv[2] ?? 1);
const file = await soundReceipts(200);
const trust = { keys: file.keys, secrets: file.secrets };
const whole = judge(bytesOf(file.lines), trust);
let [made, judged, wrong] = [0, 0, whole.core.findings.length + whole.second.findings.length];
for (const mutant of receiptMutants(file, await soundReceipts(40, 25, "other"))) {
  made += 1;
  if (made % every !== 0) continue;
  judged += 1;
  const fault = disagreement(mutant, trust);
  if (fault === undefined) continue;
  wrong += 1;
  console.error(fault);
}
console.log(`${file.lines.length} records, ${made} mutants, ${judged} judged, ${wrong} wrong`);
process.exitCode = wrong === 0 ? 0 : 1;
