/** Two gates in processes of their own on one log, each behind a proxy where the log is on a server: what faults are done to. */
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import type { Store, VerifyOptions } from "@stepgate/core";
import { type ScriptProcess, startScript } from "./child-process.ts";
import type { Note } from "./fault-clients.ts";
import type { Witness } from "./fault-oracle.ts";
import type { ClockFault, FaultAnswer, FaultQuestion, Opening } from "./fault-process.ts";
import { type FaultProxy, startFaultProxy } from "./fault-proxy.ts";
import { openRacingGates, type RacingGates } from "./gate-races.ts";
import type { NetworkNamespace } from "./network-namespace.ts";
import type { LogUnderTest, StoreUnderTest } from "./store-under-test.ts";

/** How long a gate's answer may take: the default of `createGate`. */
export const DEADLINE_MS = 1_000;
/** How long until a gate allows again once the fault is over, by itself. */
const RECOVERS_WITHIN_MS = 20_000;

/** One gate over all its lives. */
export interface Member {
  readonly gateId: string;
  /** Only where the log is on a server. */
  readonly proxy: FaultProxy | undefined;
  pid(): number;
  /** Begins the work of a run. */
  work(run: string, seed: number): Promise<void>;
  setClock(clock: ClockFault): Promise<void>;
  /** SIGKILL, in the midst of whatever it does. */
  kill(): Promise<void>;
  /** Another process with the same gate. Resolves to what it complained of on the way. */
  restart(): Promise<readonly string[]>;
  /** Opens one more gate in the same process, and closes it; resolves to `ALLOW` or the error's code. */
  openAnother(): Promise<FaultAnswer>;
  pause(): void;
  goOn(): void;
  /** Cuts it off from everything, where it is in a network namespace of its own, and joins it again. */
  partition(): void;
  rejoin(): void;
  /** Asks until it allows something, and resolves to how long that took; with an error in words where it never did. */
  recover(run: string): Promise<{ readonly ms: number; readonly violations: readonly string[] }>;
  /** Ends the work, and resolves to what was seen since it began. */
  rest(): Promise<readonly Witness[]>;
}

/** The gates, and where to look at what they wrote. */
export interface Cluster {
  readonly members: readonly [Member, Member];
  readonly log: LogUnderTest;
  readonly trust: VerifyOptions;
  /** Straight to the log, past every proxy. */
  open(): Promise<Store>;
  close(): Promise<readonly string[]>;
  /** Ends whatever is left, where a process has ended that should not have. */
  abandon(): Promise<void>;
}

type GateProcess = ScriptProcess<FaultQuestion, FaultAnswer>;

const SCRIPT = new URL("fault-process.ts", import.meta.url);
const CLIENTS = 4;
const SEQUENCES = 3;

/** Makes the log's keys, and starts both gates: in these network namespaces, where they are to be partitioned. */
export async function startCluster(
  store: StoreUnderTest,
  log: LogUnderTest,
  namespaces: readonly NetworkNamespace[] = [],
): Promise<Cluster> {
  const open = (): Promise<Store> => store.open(log.place);
  const first = await open();
  const keys = await openRacingGates([first]);
  await first.close();
  const folder = mkdtempSync(join(tmpdir(), "stepgate-"));
  const parts = { store, log, keys, folder };
  const members = [
    await startMember(parts, "gate-0", namespaces[0]),
    await startMember(parts, "gate-1", namespaces[1]),
  ] as const;
  return {
    members: [members[0].member, members[1].member],
    log,
    trust: keys.trust,
    open,
    async close() {
      const errors = await Promise.all(members.map(({ end }) => end()));
      rmSync(folder, { recursive: true });
      return errors.filter((text) => text !== "");
    },
    async abandon() {
      await Promise.all(members.map(({ abandon }) => abandon()));
      rmSync(folder, { recursive: true });
    },
  };
}

interface MemberParts {
  readonly store: StoreUnderTest;
  readonly log: LogUnderTest;
  readonly keys: RacingGates;
  /** For notes and executed actions. */
  readonly folder: string;
}

/** The work of a process since the run began. */
interface Life {
  readonly notesPath: string;
  readonly executedPath: string;
  readonly pauses: [bigint, bigint][];
  killed: boolean;
}

async function startMember(
  { store, log, keys, folder }: MemberParts,
  gateId: string,
  namespace?: NetworkNamespace,
) {
  const server = addressOf(log.place);
  const listen = namespace === undefined ? {} : { listen: namespace.host };
  const proxy = server && (await startFaultProxy({ ...server, ...listen }));
  const place = proxy === undefined ? log.place : through(log.place, proxy);
  const opening: Opening = {
    ask: "open",
    log: { module: store.module, place },
    gateId,
    privateKey: String(keys.key.privateKey.export({ type: "pkcs8", format: "pem" })),
    saltKey: Buffer.from(keys.saltKey).toString("hex"),
    deadlineMs: DEADLINE_MS,
  };
  const lives: Life[] = [];
  let begun: { readonly run: string; readonly seed: number } | undefined;
  let clock: ClockFault = "right";
  const load = (): Promise<GateProcess> => startScript(SCRIPT, {}, namespace?.enter);
  let current = await load();
  const opened = await current.ask(opening);
  if (opened.answer !== "ALLOW") throw new Error(`${gateId} could not be opened: ${opened.answer}`);

  async function work(run: string, seed: number): Promise<void> {
    begun = { run, seed };
    const name = join(folder, `${run}-${gateId}-${lives.length}`);
    const life = {
      notesPath: `${name}-notes`,
      executedPath: `${name}-executed`,
      pauses: [],
      killed: false,
    };
    for (const path of [life.notesPath, life.executedPath]) writeFileSync(path, "");
    lives.push(life);
    const paths = { notesPath: life.notesPath, executedPath: life.executedPath };
    await current.ask({ ask: "work", run, sequences: SEQUENCES, clients: CLIENTS, seed, ...paths });
  }

  async function setClock(to: ClockFault): Promise<void> {
    clock = to;
    await current.ask({ ask: "clock", clock });
  }

  async function restart(): Promise<readonly string[]> {
    current = await load();
    const complaints = await openAgain(current, opening);
    if (begun !== undefined) await work(begun.run, begun.seed + 500 + lives.length);
    return complaints;
  }

  const member: Member = {
    gateId,
    proxy,
    pid: () => current.process.pid ?? 0,
    work,
    setClock,
    async kill() {
      const life = lives.at(-1);
      if (life !== undefined) life.killed = true;
      current.process.kill("SIGKILL");
      await current.end();
    },
    restart,
    openAnother: () => current.ask({ ...opening, ask: "open-another" }),
    pause() {
      lives.at(-1)?.pauses.push([process.hrtime.bigint(), 1n << 62n]);
      current.process.kill("SIGSTOP");
    },
    goOn() {
      current.process.kill("SIGCONT");
      const pause = lives.at(-1)?.pauses.at(-1);
      if (pause !== undefined) pause[1] = process.hrtime.bigint();
    },
    partition: () => namespace?.cut(),
    rejoin: () => namespace?.join(),
    recover: (run) => recover(current, `${run}/probe-${gateId}`, gateId),
    async rest() {
      begun = undefined;
      await current.ask({ ask: "rest" });
      const seen = lives.splice(0).map(witnessOf);
      for (const name of readdirSync(folder))
        if (name.includes(`-${gateId}-`)) rmSync(join(folder, name));
      return seen;
    },
  };
  async function end(): Promise<string> {
    await current.ask({ ask: "close" });
    const errors = await current.end();
    await proxy?.close();
    return errors;
  }
  async function abandon(): Promise<void> {
    current.process.kill("SIGKILL");
    await current.end();
    await proxy?.close();
  }
  return { member, end, abandon };
}

/** As a supervisor does: again, until it is there. Every failure must come in time and have a code. */
async function openAgain(current: GateProcess, opening: Opening): Promise<readonly string[]> {
  const complaints: string[] = [];
  for (const end = performance.now() + RECOVERS_WITHIN_MS; performance.now() < end;) {
    const { answer } = await current.ask(opening);
    if (answer === "ALLOW") return complaints;
    if (answer !== "STORE_UNAVAILABLE") complaints.push(`a gate could not start: ${answer}`);
    await sleep(50);
  }
  return [...complaints, `a gate did not start again within ${RECOVERS_WITHIN_MS} ms`];
}

async function recover(current: GateProcess, probe: string, gateId: string) {
  const began = performance.now();
  const elapsed = (): number => Math.round(performance.now() - began);
  for (let nth = 0; elapsed() < RECOVERS_WITHIN_MS; nth++) {
    const { answer } = await current.ask({ ask: "probe", sequenceId: `${probe}-${nth}` });
    if (answer === "ALLOW") return { ms: elapsed(), violations: [] };
    await sleep(20);
  }
  return {
    ms: elapsed(),
    violations: [`${gateId} allows nothing ${elapsed()} ms after the fault`],
  };
}

function witnessOf({ notesPath, executedPath, pauses, killed }: Life): Witness {
  return {
    // Written by our own process a moment ago, one object a line.
    notes: linesOf(notesPath).map((line) => JSON.parse(line) as Note),
    executed: linesOf(executedPath),
    pauses,
    killed,
  };
}

/** Whole lines only: a process that was killed may have left half of one, of which nothing came. */
function linesOf(path: string): readonly string[] {
  return readFileSync(path, "utf8").split("\n").slice(0, -1);
}

/** Host and port, where the log is on a server. */
function addressOf(place: string): { readonly host: string; readonly port: number } | undefined {
  if (!/^[a-z]+:\/\//.test(place)) return undefined;
  const { hostname, port, protocol } = new URL(place);
  return { host: hostname, port: port === "" ? (DEFAULT_PORTS[protocol] ?? 0) : Number(port) };
}

const DEFAULT_PORTS: Readonly<Record<string, number>> = {
  "postgres:": 5432,
  "postgresql:": 5432,
  "redis:": 6379,
};

/** The same place, reached by a proxy. */
function through(place: string, { host, port }: Pick<FaultProxy, "host" | "port">): string {
  const url = new URL(place);
  url.hostname = host;
  url.port = `${port}`;
  return url.href;
}
