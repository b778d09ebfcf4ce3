/**
 * One sound file of receipts, the same bytes in every run, made by real gates on one store: every kind that a gate writes,
 * every code that is recorded, both signatures and MACs.
 */
import {
  type Allow,
  type Decision,
  importKeySet,
  type LocalGate,
  createGate,
  memoryStore,
  type SigningKey,
  signApproval,
  type Store,
} from "@stepgate/core";
import { compilePolicy, type PolicyDocument } from "@stepgate/policy";
import { testKey, testRandom, testSecret } from "./test-keys.ts";

/** A file, and all that its readers may be given. */
export interface SoundFile {
  readonly lines: readonly string[];
  /** A JWKS: the gates' keys, and one approver's with `roles`. */
  readonly keys: { readonly keys: readonly object[] };
  readonly secrets: ReadonlyMap<string, Uint8Array>;
}

/** Runs `sequences` sequences of `records` records each (25 or more); `logId` names their log. */
export async function soundReceipts(
  sequences: number,
  records = 25,
  logId = "vectors",
): Promise<SoundFile> {
  const store = memoryStore();
  const stage = await openStage(store, logId, records);
  for (let from = 0; from < sequences; from += AT_ONCE) {
    const group = Math.min(AT_ONCE, sequences - from);
    await Promise.all(Array.from({ length: group }, (_, at) => runSequence(stage, from + at)));
  }
  return { lines: await Array.fromAsync(store.lines()), keys: SOUND_KEYS, secrets: SOUND_SECRETS };
}

/** The keys behind the files: two gates', an approver's. */
export const GATE_KEY: SigningKey = testKey("gate");
/** Signs one record at a time, beside a MAC. */
const SECOND_GATE_KEY: SigningKey = testKey("second gate");
/** A person of the role finance. */
export const APPROVER_KEY: SigningKey = testKey("approver");
/** The name of the MAC's secret. */
export const HMAC_KEY_ID = "hmac-1";
/** The JWKS of all three. */
export const SOUND_KEYS: SoundFile["keys"] = {
  keys: [
    GATE_KEY.publicJwk,
    SECOND_GATE_KEY.publicJwk,
    { ...APPROVER_KEY.publicJwk, roles: ["finance"] },
  ],
};
/** The MAC's secret, by its name. */
export const SOUND_SECRETS: ReadonlyMap<string, Uint8Array> = new Map([
  [HMAC_KEY_ID, testSecret("hmac")],
]);
/** The clock of the first record, in milliseconds. */
const STARTED_MS = 1_790_000_000_000;

const AT_ONCE = 8;

/** The policy of all sequences. */
export const SOUND_POLICY: PolicyDocument = {
  schema: "stepgate.policy/1",
  id: "payments",
  version: "3",
  sequence: "intake, review?, execution{1,3}, settle",
  functions: {
    lookup: { step: "*", actions: ["READ_INPUT"] },
    strange: { step: "*", actions: ["READ_INPUT"], when: "args.missing >= 1.0" },
    intake: ["CHECK_STATE"],
    review: ["REQUEST_REVIEW"],
    execution: ["WRITE_DB", "CALL_EXTERNAL_API"],
    settle: ["SEAL_SEQUENCE"],
  },
  tools: {
    transfer_funds: {
      function: "execution",
      action: "WRITE_DB",
      audience: "ledger",
      args: {
        type: "object",
        required: ["amount", "to"],
        properties: { amount: { type: "number" }, to: { type: "string" } },
        additionalProperties: false,
      },
      when: "args.amount <= 10000.0",
      grounded: { to: ["context.payees"] },
      ungrounded: ["amount"],
      bind: { payee: "args.to" },
      limits: { sum: { of: "args.amount", max: 1000 } },
      approval: { when: "args.amount >= 500.0", by: ["finance"] },
    },
  },
  forbid: [{ functions: ["review"], agents: ["bot-*"] }],
  sealOn: ["SEAL_SEQUENCE"],
};

interface Stage {
  readonly store: Store;
  readonly gates: readonly LocalGate[];
  /** Holds no policy that a sequence is pinned to. */
  readonly stranger: LocalGate;
  readonly logId: string;
  readonly records: number;
  readonly tick: () => number;
}

async function openStage(store: Store, logId: string, records: number): Promise<Stage> {
  let now = STARTED_MS;
  const clock = (): number => now;
  const common = {
    store,
    clock,
    logId,
    saltKey: testSecret("salt"),
    approvers: importKeySet({ keys: SOUND_KEYS.keys.slice(2) }),
    deadlineMs: 60_000,
  };
  const policies = [compilePolicy(SOUND_POLICY)];
  const gate = await createGate({
    ...common,
    policies,
    signer: GATE_KEY,
    gateId: "gate-1",
    random: testRandom(`${logId} gate`),
  });
  const hmacKey = { id: HMAC_KEY_ID, secret: testSecret("hmac") };
  const second = await createGate({
    ...common,
    policies,
    signer: SECOND_GATE_KEY,
    gateId: "gate-2",
    batch: false,
    hmacKey,
    random: testRandom(`${logId} second gate`),
  });
  const stranger = await createGate({
    ...common,
    policies: [],
    earlier: [compilePolicy({ ...SOUND_POLICY, id: "other" })],
    signer: GATE_KEY,
    gateId: "gate-3",
    random: testRandom(`${logId} stranger`),
  });
  return {
    store,
    gates: [gate, second],
    stranger,
    logId,
    records,
    tick: () => (now += 7),
  };
}

/** One run: every fourth is abandoned, others end by their settling call or a person's seal, or both. */
async function runSequence(stage: Stage, index: number): Promise<void> {
  const run = startRun(stage, index);
  await run.gate.open({
    ...run.who,
    sequence_id: run.id,
    context: { payees: ["ada", "bob"], run: index },
  });
  await refusedCalls(run);
  await run.finished(await run.call("intake", "CHECK_STATE"), "succeeded");
  await run.gate.addContext(run.id, { turn: index });
  await resumedCall(run);
  await approvedCall(run);
  await run.pay(900);
  while ((await run.length()) < stage.records - 4) await run.call("lookup", "READ_INPUT");
  await ending(run, index % 4);
  while ((await run.length()) < stage.records) await run.call("absent", "READ_INPUT");
}

interface Run {
  readonly gate: LocalGate;
  readonly stage: Stage;
  readonly id: string;
  readonly who: { readonly agent_id: string; readonly tenant?: string };
  length(): Promise<number>;
  /** The members of the next request beside its form of call; the nonce counts up. */
  envelope(): {
    readonly sequence_id: string;
    readonly nonce: string;
    readonly ts_ms: number;
    readonly attempt: string;
    readonly agent_id: string;
    readonly tenant?: string;
  };
  call(fn: string, action: string, more?: object): Promise<Decision>;
  pay(amount: number, more?: object): Promise<Decision>;
  finished(decision: Decision, status: "succeeded" | "failed" | "interrupted"): Promise<void>;
}

function startRun(stage: Stage, index: number): Run {
  const id = `run-${String(index).padStart(3, "0")}`;
  const gate = stage.gates[index % 3 === 2 ? 1 : 0];
  if (gate === undefined) throw new TypeError("no gate");
  const who = { agent_id: `bot-${index % 5}`, ...(index % 2 === 0 ? { tenant: "acme" } : {}) };
  let calls = 0;
  const draw = testRandom(`${stage.logId} ${id}`);
  const run: Run = {
    gate,
    stage,
    id,
    who,
    length: async () => (await stage.store.read(id, 0)).length,
    envelope: () => ({
      ...who,
      sequence_id: id,
      nonce: `call ${++calls}`,
      ts_ms: stage.tick(),
      attempt: Buffer.from(draw(16)).toString("base64url"),
    }),
    call: (fn, action_type, more = {}) =>
      gate.decide({ ...run.envelope(), function: fn, action_type, ...more }),
    pay: (amount, more = {}) =>
      gate.decide({
        ...run.envelope(),
        tool: "transfer_funds",
        args: { amount, to: "ada" },
        ...more,
      }),
    async finished(decision, status) {
      await gate.outcome(allowed(decision), { status, result: { calls }, duration_ms: calls });
    },
  };
  return run;
}

async function refusedCalls(run: Run): Promise<void> {
  await run.call("absent", "READ_INPUT");
  await run.call("settle", "SEAL_SEQUENCE");
  await run.call("lookup", "READ_INPUT", { nonce: "call 1" });
  await run.call("lookup", "READ_INPUT", { nonce: "" });
  await run.call("lookup", "READ_INPUT", { ts_ms: STARTED_MS - 3_600_000 });
  await run.call("lookup", "WRITE_DB");
  await run.call("strange", "READ_INPUT");
  await run.stage.stranger.decide({
    ...run.envelope(),
    function: "lookup",
    action_type: "READ_INPUT",
  });
}

/** Allowed, interrupted, and come back to. */
async function resumedCall(run: Run): Promise<void> {
  const first = await run.pay(20, { nonce: "pay" });
  await run.finished(first, "interrupted");
  await run.finished(await run.pay(20, { nonce: "pay" }), "succeeded");
  await run.pay(20, { args: { amount: 20, to: "mallory" } });
}

/** Denied until a person approves. */
async function approvedCall(run: Run): Promise<void> {
  const asked = await run.pay(600, { nonce: "big" });
  if (asked.receipt === undefined) throw new TypeError("the approval left no receipt");
  const { request, expires_ms } = { request: await lastHash(run), expires_ms: STARTED_MS * 2 };
  const statement = { log_id: run.stage.logId, sequence_id: run.id, request, expires_ms };
  await run.gate.approve(signApproval({ ...statement, verdict: "approve" }, APPROVER_KEY));
  await run.finished(await run.pay(600, { nonce: "big" }), "failed");
}

async function ending(run: Run, way: number): Promise<void> {
  if (way === 1 || way === 2)
    await run.finished(await run.call("settle", "SEAL_SEQUENCE"), "succeeded");
  if (way === 2 || way === 3) await run.gate.seal(run.id, "closed by hand", "alice");
}

async function lastHash(run: Run): Promise<string> {
  const state = await run.gate.state(run.id);
  const hash = state.awaiting[0];
  if (hash === undefined) throw new TypeError("nothing awaits approval");
  return hash;
}

function allowed(decision: Decision): Allow {
  if (decision.decision === "ALLOW") return decision;
  throw new TypeError(`the sound run was denied: ${decision.deny_code} ${decision.rule}`);
}
