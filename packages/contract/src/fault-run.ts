/** One scenario: clients work, a fault comes and goes, the gates recover by themselves, and everything is judged. */
import { execFileSync, spawnSync } from "node:child_process";
import { readdirSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { verifyReceipts } from "@stepgate/core";
import { type Cluster, DEADLINE_MS, type Member } from "./fault-cluster.ts";
import { type FaultFindings, judgeFault, type Witness } from "./fault-oracle.ts";
import {
  type FaultKind,
  type FaultPlan,
  GATE_FAULTS,
  NETWORK_FAULTS,
  PARTITION,
  SERVER_FAULTS,
} from "./fault-plan.ts";
import type { LogUnderTest } from "./store-under-test.ts";

/** What came of a scenario. */
export interface FaultReport extends FaultFindings {
  readonly plan: FaultPlan;
  /** How long the slower gate took until it allowed something again. */
  readonly recoveredMs: number;
  /** What each gate answered while the fault lasted: first 0, then 1. */
  readonly meanwhile: readonly Meanwhile[];
}

/** Answers to calls that were made and answered while a fault lasted. */
interface Meanwhile {
  readonly allowed: number;
  readonly denied: number;
}

/** What an answer may take beyond the deadline, in milliseconds: the event loop's own delay on a busy machine. */
const MARGIN_MS = 750;
const AFTERWARDS_MS = 100;
/** A start asks the store several things, each within the deadline; the first that fails ends it. */
const STARTS_WITHIN_MS = 3 * DEADLINE_MS;

/** The kinds of fault that can be done to this log, on this machine. */
export function faultKinds(log: LogUnderTest): readonly FaultKind[] {
  const kinds: FaultKind[] = [...GATE_FAULTS];
  if (spawnSync(PRLIMIT, ["--version"]).error !== undefined)
    kinds.splice(kinds.indexOf("too-many-files"), 1);
  if (log.place.includes("://")) kinds.push(...NETWORK_FAULTS);
  if (log.server !== undefined) kinds.push(...SERVER_FAULTS);
  for (const name of Object.keys(log.faults ?? {})) kinds.push(`store-${name}`);
  return kinds;
}

/** Runs the plan on a cluster whose gates are at rest. */
export async function runFault(
  cluster: Cluster,
  plan: FaultPlan,
  marginMs: number = MARGIN_MS,
): Promise<FaultReport> {
  const { members } = cluster;
  const run = `run-${plan.seed}`;
  for (const [nth, member] of members.entries()) await member.work(run, plan.seed * 10 + nth);
  await sleep(plan.afterMs);
  const heal = await begin(cluster, plan);
  const from = process.hrtime.bigint();
  await sleep(plan.lastsMs);
  const to = process.hrtime.bigint();
  const complaints = await heal();
  const recovered = await Promise.all(members.map((member) => member.recover(run)));
  await sleep(AFTERWARDS_MS);
  const rested = await Promise.all(members.map((member) => member.rest()));
  const store = await cluster.open();
  const terms = { withinMs: DEADLINE_MS + marginMs, codes: codesOf(plan.kind) };
  const findings = await judgeFault(rested.flat(), store, cluster.trust, terms);
  await store.close();
  const violations = [
    ...complaints,
    ...recovered.flatMap((one) => one.violations),
    ...findings.violations,
  ];
  const recoveredMs = Math.max(...recovered.map(({ ms }) => ms));
  const meanwhile = rested.map((witnesses) => meanwhileOf(witnesses, from, to));
  return { ...findings, violations, plan, recoveredMs, meanwhile };
}

function meanwhileOf(witnesses: readonly Witness[], from: bigint, to: bigint): Meanwhile {
  const notes = witnesses.flatMap((witness) => witness.notes);
  const made = new Set(
    notes.flatMap((note) => (note.note === "call" && BigInt(note.at) > from ? note.attempt : [])),
  );
  const answers = notes.flatMap((note) =>
    note.note === "answer" && made.has(note.attempt) && BigInt(note.at) < to ? note.answer : [],
  );
  const allowed = answers.filter((answer) => answer === "ALLOW").length;
  return { allowed, denied: answers.length - allowed };
}

/** The whole log once more, every sequence of every run: what a verifier that trusts nobody says of it. */
export async function judgeWholeLog(cluster: Cluster): Promise<readonly string[]> {
  const store = await cluster.open();
  const { result, findings } = await verifyReceipts(store.lines(), cluster.trust);
  await store.close();
  return result === "sound"
    ? []
    : [`the whole log verifies as ${result}: ${JSON.stringify(findings[0])}`];
}

/** Only a clock that jumps between a request and its decision makes it stale, and only faults make a store unavailable. */
function codesOf(kind: FaultKind): readonly string[] {
  if (kind.startsWith("clock")) return ["STALE_TIMESTAMP"];
  return kind === "none" ? [] : ["STORE_UNAVAILABLE"];
}

/** Ends a fault, and resolves to what was complained of on the way. */
type Heal = () => Promise<readonly string[]>;

async function begin({ members, log }: Cluster, plan: FaultPlan): Promise<Heal> {
  const victim = members[plan.victim];
  const victims = plan.both ? members : [victim];
  const nothing: readonly string[] = [];
  switch (plan.kind) {
    case "none":
      return async () => nothing;
    case "gate-killed":
      await victim.kill();
      return () => victim.restart();
    case "gate-paused":
      victim.pause();
      return async () => {
        victim.goOn();
        return nothing;
      };
    case "clock-forward":
    case "clock-backward":
    case "clock-frozen":
      await victim.setClock(plan.clock ?? "right");
      return async () => {
        await victim.setClock("right");
        return nothing;
      };
    case "too-many-files":
      return beginFewFiles(victim, plan);
    case "server-killed":
    case "server-and-gate-killed": {
      const gate = plan.kind === "server-and-gate-killed" ? victim : undefined;
      await Promise.all([log.server?.kill(), gate?.kill()]);
      return async () => {
        await log.server?.start();
        return gate === undefined ? nothing : gate.restart();
      };
    }
    case PARTITION:
      victim.partition();
      return async () => {
        victim.rejoin();
        return nothing;
      };
    case "server-frozen":
      log.server?.freeze();
      return async () => {
        log.server?.thaw();
        return nothing;
      };
    default:
      return plan.network === undefined
        ? beginOwn(log, plan.kind)
        : beginNetwork(victims, plan.network);
  }
}

function beginNetwork(victims: readonly Member[], fault: NonNullable<FaultPlan["network"]>): Heal {
  for (const { proxy } of victims) proxy?.inject(fault);
  return async () => {
    for (const { proxy } of victims) proxy?.heal();
    return [];
  };
}

/** The gate can open nothing more, and where the log is on a server it loses what it has. */
async function beginFewFiles(victim: Member, { network }: FaultPlan): Promise<Heal> {
  const lift = limitFiles(victim);
  if (network !== undefined) victim.proxy?.inject(network);
  const { answer, ms } = await victim.openAnother();
  const refused = answer === "STORE_UNAVAILABLE" && ms < STARTS_WITHIN_MS;
  const complaints = refused ? [] : [`without files a gate started with ${answer} after ${ms} ms`];
  return async () => {
    victim.proxy?.heal();
    lift();
    const later = await victim.openAnother();
    return later.answer === "ALLOW"
      ? complaints
      : [...complaints, `with files again a gate started with ${later.answer}`];
  };
}

async function beginOwn(log: LogUnderTest, kind: FaultKind): Promise<Heal> {
  const fault = log.faults?.[kind.slice("store-".length)];
  if (fault === undefined) throw new TypeError(`this log knows no fault '${kind}'`);
  const end = await fault();
  return async () => {
    await end();
    return [];
  };
}

/** Of util-linux. */
const PRLIMIT = "prlimit";

/** From now on the process may open nothing more; the hard limit stays, so that this can be undone. */
function limitFiles(member: Member): () => void {
  const pid = `${member.pid()}`;
  const set = (limit: string): void =>
    void execFileSync(PRLIMIT, ["--pid", pid, `--nofile=${limit}:`]);
  const [before = "1024"] = execFileSync(
    PRLIMIT,
    ["--pid", pid, "--nofile", "--output", "SOFT", "--noheadings", "--raw"],
    { encoding: "utf8" },
  ).split("\n");
  // Whatever is opened gets the lowest number that is free, and that one is too high now.
  const open = new Set(readdirSync(`/proc/${pid}/fd`).map(Number));
  let free = 0;
  while (open.has(free)) free++;
  set(`${free}`);
  return () => set(before.trim());
}
