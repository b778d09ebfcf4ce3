/** Kills a deciding process at random moments, again and again on one log, and looks each time at what it left. */
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { createGate, type Receipt, recordHash, type Store, verifyReceipts } from "@stepgate/core";
import { compilePolicy } from "@stepgate/policy";
import { type ScriptProcess, startScript } from "./child-process.ts";
import type { LifeAnswer, LifeQuestion } from "./deciding-process.ts";
import { openRacingGates, RACE_POLICY, type RacingGates } from "./gate-races.ts";
import { seededRandom } from "./seeded-random.ts";
import { type LogPlace, openLog } from "./store-under-test.ts";

/** How often, and from which seed the moments are drawn. */
export interface RepeatedKill {
  readonly kills: number;
  readonly seed: number;
  /** An empty log. */
  readonly log: LogPlace;
  /** Where the executed actions are noted; empty. */
  readonly folder: string;
}

/** What was found. */
export interface KillReport {
  readonly violations: readonly string[];
  /** Actions that ran, over all lives. */
  readonly executed: number;
  readonly records: number;
  /** ALLOWs whose process was killed before their outcome was recorded; a later life closed them. */
  readonly closedAsUnknown: number;
}

/** All lives are one gate, started again. */
const GATE_ID = "mortal";
const SEQUENCES = 16;
/** Sequences go on over so many lives. */
const LIVES_OF_A_SEQUENCE = 4;
const LONGEST_LIFE_MS = 200;

type Mortal = ScriptProcess<LifeQuestion, LifeAnswer>;

/** Kills as often as asked; the next process is loaded while one works, but opens the log only after its end. */
export async function killRepeatedly({
  kills,
  seed,
  log,
  folder,
}: RepeatedKill): Promise<KillReport> {
  const first = await openLog(log);
  const keys = await openRacingGates([first]);
  await first.close();
  const random = seededRandom(seed);
  const violations: string[] = [];
  let executed = 0;
  let next = load();
  for (let life = 0; life < kills; life++) {
    const mortal = await next;
    next = load();
    const question = questionOf(life, log, folder, keys);
    // Every fifth life may end before its first decision, while the log is still being opened.
    const ended = await live(mortal, question, random() * LONGEST_LIFE_MS, life % 5 === 4);
    const ran = linesOf(readFileSync(question.executedPath, "utf8"));
    executed += ran.length;
    const store = await openLog(log);
    const found = [...ended, ...(await judgeLife(store, question.sequences, ran))];
    await store.close();
    violations.push(...found.map((violation) => `seed ${seed}, life ${life}: ${violation}`));
  }
  (await next).process.kill();
  return { executed, ...(await judgeLog(log, keys, violations)) };
}

function load(): Promise<Mortal> {
  return startScript<LifeQuestion, LifeAnswer>(new URL("deciding-process.ts", import.meta.url));
}

function questionOf(
  life: number,
  log: LogPlace,
  folder: string,
  { key, saltKey }: RacingGates,
): LifeQuestion {
  const generation = Math.floor(life / LIVES_OF_A_SEQUENCE);
  const executedPath = join(folder, `executed-${life}`);
  writeFileSync(executedPath, "");
  return {
    log,
    executedPath,
    gateId: GATE_ID,
    privateKey: String(key.privateKey.export({ type: "pkcs8", format: "pem" })),
    saltKey: Buffer.from(saltKey).toString("hex"),
    sequences: Array.from(
      { length: SEQUENCES },
      (_, lane) => `generation-${generation}/lane-${lane}`,
    ),
  };
}

/** Lets it work for a while after its first decision (or after being asked for one), and kills it. */
async function live(
  mortal: Mortal,
  question: LifeQuestion,
  ms: number,
  early: boolean,
): Promise<readonly string[]> {
  const began = mortal.ask(question).then(
    ({ decided }) =>
      decided === "ALLOW" || decided === "SEQUENCE_VIOLATION"
        ? []
        : [`the first decision was ${decided}`],
    (error: unknown) => (early ? [] : [String(error)]),
  );
  if (!early) await began;
  await sleep(ms);
  mortal.process.kill("SIGKILL");
  const errors = await mortal.end();
  const signal = mortal.process.signalCode;
  return [
    ...(await began),
    ...(errors === "" ? [] : [errors]),
    ...(signal === "SIGKILL" ? [] : [`it ended by itself (${signal})`]),
  ];
}

/** No executed action without its ALLOW, and chains without gap or fork. Signatures are verified at the end. */
export async function judgeLife(
  store: Store,
  sequences: readonly string[],
  ran: readonly string[],
): Promise<readonly string[]> {
  const violations: string[] = [];
  const allows = new Set<string>();
  for (const sequenceId of sequences) {
    let prev: string | undefined;
    for (const [index, line] of (await store.read(sequenceId, 0)).entries()) {
      const receipt = JSON.parse(line) as Receipt;
      const hash = recordHash(receipt);
      if (receipt.seq !== index) violations.push(`${sequenceId}: ${receipt.seq} at place ${index}`);
      if (prev !== undefined && receipt.prev !== prev)
        violations.push(`${sequenceId}: the chain breaks at ${index}`);
      if (receipt.kind === "decision" && receipt.decision === "ALLOW")
        allows.add(`${sequenceId} ${index} ${hash}`);
      prev = hash;
    }
  }
  for (const action of ran)
    if (!allows.has(action)) violations.push(`executed without a receipt: ${action}`);
  if (new Set(ran).size !== ran.length) violations.push("an action was executed twice");
  return violations;
}

/** Everything once more from the log alone, with signatures, after a gate of the same name has closed what was left open. */
async function judgeLog(
  log: LogPlace,
  keys: RacingGates,
  before: readonly string[],
): Promise<Omit<KillReport, "executed">> {
  const store = await openLog(log);
  const { key: signer, saltKey } = keys;
  await createGate({
    policies: [compilePolicy(RACE_POLICY)],
    store,
    signer,
    saltKey,
    gateId: GATE_ID,
  });
  const left = await Array.fromAsync(store.openAllows());
  const report = await verifyReceipts(store.lines(), keys.trust);
  const records = (await Array.fromAsync(store.lines())).map((line) => JSON.parse(line) as Receipt);
  await store.close();
  const violations = [...before];
  if (report.result !== "sound")
    violations.push(`the log verifies as ${report.result}: ${JSON.stringify(report.findings[0])}`);
  const listed = report.sequences.flatMap(({ open_allows }) => open_allows);
  if (left.length + listed.length > 0)
    violations.push(`${left.length} ALLOWs were left open, ${listed.length} have no outcome`);
  const closedAsUnknown = records.filter(
    (record) => record.kind === "outcome" && record.status === "unknown",
  ).length;
  return { violations, records: records.length, closedAsUnknown };
}

export function linesOf(text: string): readonly string[] {
  return text.split("\n").filter((line) => line !== "");
}
