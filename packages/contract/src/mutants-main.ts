/**
 * Judges every mutant of the file of 5,000 records by both verifiers, and says what was found of each attack:
 * `node mutants-main.ts [--every n] [--from a] [--to b]`; each nth, from one mutant to below another.
 */
import { parseArgs } from "node:util";
import { judge, mutantJudge } from "./judge-mutants.ts";
import { bytesOf } from "./mutant.ts";
import { receiptMutants, soundness } from "./receipt-mutants.ts";

const { every, from, to } = askedFor();
const sound = await soundness();
const { file } = sound;
const trust = { keys: file.keys, secrets: file.secrets };
const whole = judge(bytesOf(file.lines), trust);
const judged = mutantJudge(trust);
const counts = new Map<string, Map<string, number>>();
let [made, done, wrong] = [0, 0, whole.core.findings.length + whole.second.findings.length];
let told = performance.now();
const began = told;

for (const mutant of receiptMutants(sound)) {
  const at = made++;
  if (at < from || at >= to || at % every !== 0) continue;
  const { found, fault } = judged(mutant);
  done += 1;
  const row = counts.get(mutant.attack) ?? new Map<string, number>();
  counts.set(mutant.attack, row.set(found, (row.get(found) ?? 0) + 1));
  if (fault !== undefined) {
    wrong += 1;
    console.error(`mutant ${at}: ${fault}`);
  }
  if (performance.now() - told > 10_000) tellProgress(at);
}
tellSummary();
process.exitCode = wrong === 0 ? 0 : 1;

function askedFor(): { readonly every: number; readonly from: number; readonly to: number } {
  const { values } = parseArgs({
    options: { every: { type: "string" }, from: { type: "string" }, to: { type: "string" } },
  });
  const number = (text: string | undefined, otherwise: number): number => {
    const value = text === undefined ? otherwise : Number(text);
    if (value >= 0) return value;
    throw new TypeError("mutants: --every, --from and --to take numbers");
  };
  return {
    every: number(values.every, 1),
    from: number(values.from, 0),
    to: number(values.to, Infinity),
  };
}

/** To go on from there after it was stopped: `--from`. */
function tellProgress(at: number): void {
  told = performance.now();
  const rate = Math.round((done * 1000) / (told - began));
  console.error(`${done} judged, ${wrong} wrong, ${rate} a second; at mutant ${at}`);
}

/** A line for each attack: how many mutants, and the first finding, or the verdict, of how many of them. */
function tellSummary(): void {
  const sum = (row: ReadonlyMap<string, number>): number =>
    [...row.values()].reduce((one, another) => one + another, 0);
  for (const [attack, row] of [...counts].toSorted((one, another) =>
    one[0] < another[0] ? -1 : 1,
  )) {
    const parts = [...row].toSorted((one, another) => another[1] - one[1]);
    const findings = parts.map(([found, count]) => `${found} ${count}`).join(", ");
    console.log(`${attack.padEnd(32)} ${String(sum(row)).padStart(6)}  ${findings}`);
  }
  console.log(`${file.lines.length} records, ${made} mutants, ${done} judged, ${wrong} wrong`);
}
