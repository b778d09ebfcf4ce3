/** Random runs on a real gate, several sequences side by side, with everything that a record can tell. */
import { createSecretKey } from "node:crypto";
import { openTestGate } from "@stepgate/contract";
import fc from "fast-check";
import { argsKey } from "../src/digest.ts";
import {
  type ActionInput,
  type Allow,
  type CompiledPolicy,
  type Gate,
  generateSigningKey,
  importKeySet,
  type JsonObject,
  type KeySet,
  type Receipt,
  recordHash,
  signApproval,
  type SigningKey,
} from "../src/index.ts";
import { parseStrictJson } from "../src/strict-json.ts";
import { LOAN_APPROVAL, REFUNDS, RESEARCH } from "./policies.ts";

/** Every kind of condition, constraint and limit, on few names: so that random calls meet them. */
export const PAYMENTS = {
  schema: "stepgate.policy/1",
  id: "payments",
  version: "3",
  sequence: "(intake | pay){1,8}, settle?",
  functions: {
    lookup: { step: "*", actions: ["READ"], limits: { calls: 3 } },
    intake: ["CHECK"],
    pay: { actions: ["WRITE", "CALL"], when: "args.amount >= 1.0" },
    gift: { step: "pay", actions: ["WRITE"] },
    settle: ["SEAL"],
  },
  tools: {
    get: { function: "lookup", action: "READ" },
    transfer: {
      function: "pay",
      action: "WRITE",
      args: {
        type: "object",
        properties: { amount: { type: "number" }, to: { type: "string" }, id: { type: "string" } },
        additionalProperties: false,
      },
      grounded: { to: ["context.payees", ["anna"]] },
      bind: { id: "args.id" },
      limits: { sum: { of: "args.amount", max: 9 }, calls: { max: 3, per: "agent", window: "1h" } },
      approval: { when: "args.amount > 4.0", count: 1, by: ["finance"] },
    },
    close: { function: "settle", action: "SEAL" },
  },
  constraints: [
    { precedence: ["intake", { action: "CALL" }] },
    { never: [{ action: "CALL" }, { function: "settle" }] },
  ],
  forbid: [{ functions: ["pay"], actions: ["CALL"], agents: ["bot-*"] }],
  agents: { "bot-*": { functions: { gift: [] } }, "*": {} },
} as const;

/** {@link PAYMENTS} without what needs arguments, counters or people: the same calls, otherwise answered. */
export const PAYMENTS_PLAIN = {
  ...PAYMENTS,
  version: "plain",
  functions: { ...PAYMENTS.functions, lookup: ["READ"], pay: ["WRITE", "CALL"] },
  sequence: "lookup?, (intake | pay){1,4}, settle?",
  tools: {
    get: { function: "lookup", action: "READ" },
    transfer: { function: ["gift", "pay"], action: "WRITE" },
  },
  constraints: [],
} as const;

const SEQUENCES = ["s0", "s1"] as const;
/** The contract of a run: mostly the one with conditions. */
export const contract: fc.Arbitrary<Contract> = fc.oneof(
  { weight: 3, arbitrary: fc.constant(PAYMENTS) },
  { weight: 4, arbitrary: fc.constantFrom(PAYMENTS_PLAIN, REFUNDS, RESEARCH, LOAN_APPROVAL) },
);

type SequenceName = (typeof SEQUENCES)[number];
type Contract =
  | typeof PAYMENTS
  | typeof PAYMENTS_PLAIN
  | typeof REFUNDS
  | typeof RESEARCH
  | typeof LOAN_APPROVAL;
const AGENTS = { s0: "anna", s1: "bot-1" } as const;

/** What happens next on a sequence. */
export type Act =
  | {
      readonly kind: "call";
      readonly call: number;
      readonly args: JsonObject;
      readonly nonce: string;
    }
  | { readonly kind: "outcome" | "approve" | "context" | "seal" }
  | { readonly kind: "wait"; readonly ms: number };

const args = fc.record(
  {
    amount: fc.constantFrom<number | string>(0, 1, 1, 1, 2.5, 2.5, 2.5, 4.1, 4.1, "x"),
    to: fc.constantFrom("anna", "anna", "ben", "eve"),
    id: fc.constantFrom("a1", "a1", "a1", "a2"),
  },
  { requiredKeys: ["amount"] },
);

const act: fc.Arbitrary<Act> = fc.oneof(
  {
    weight: 12,
    arbitrary: fc.record({
      kind: fc.constant("call" as const),
      call: fc.nat(1000),
      args,
      nonce: fc.nat(15).map((n) => `n${n}`),
    }),
  },
  { weight: 3, arbitrary: fc.constant({ kind: "outcome" as const }) },
  { weight: 4, arbitrary: fc.constant({ kind: "approve" as const }) },
  { weight: 1, arbitrary: fc.constant({ kind: "context" as const }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant("wait" as const), ms: fc.nat(200_000) }) },
);

/** Acts, each on one of two sequences; rarely a person's seal at the end of what is drawn. */
export const acts: fc.Arbitrary<readonly (readonly [SequenceName, Act])[]> = fc.array(
  fc.tuple(
    fc.constantFrom(...SEQUENCES),
    fc.oneof(
      { weight: 40, arbitrary: act },
      { weight: 1, arbitrary: fc.constant({ kind: "seal" as const }) },
    ),
  ),
  { minLength: 10, maxLength: 40, size: "max" },
);

/** Calls alone, each with a nonce of its own: nothing comes back, and no time passes. */
export const calls: typeof acts = acts.map((list) =>
  list.flatMap(([name, one], index) =>
    one.kind === "call" ? [[name, { ...one, nonce: `once-${index}` }] as const] : [],
  ),
);

/** What a run left behind, and what its host knows beside it. */
export interface RecordedRun {
  readonly policy: CompiledPolicy;
  readonly keys: KeySet;
  readonly receipts: readonly { readonly receipt: Receipt; readonly hash: string }[];
  /** What was asked, by the hash of its record; the nonce and the clock with it. */
  readonly requests: ReadonlyMap<string, ActionInput>;
  /** The keys of arguments, by the same. */
  readonly argsKeys: ReadonlyMap<string, string>;
  readonly contexts: ReadonlyMap<string, JsonObject>;
}

/** Plays acts on a gate under a contract, under which they need not make sense. */
export async function record(
  document: Contract,
  played: readonly (readonly [SequenceName, Act])[],
): Promise<RecordedRun> {
  const clock = { now: 1_800_000_000_000 };
  const person = generateSigningKey();
  const personJwk = { ...person.publicJwk, roles: ["finance"] };
  const { gate, store, key, policy } = await openTestGate(document, {
    saltKey: SALT,
    logId: LOG,
    approvers: importKeySet({ keys: [personJwk] }),
    clock: () => clock.now,
  });
  const host: Host = {
    gate,
    clock,
    person,
    calls: callsOf(policy),
    allows: new Map(),
    requests: new Map(),
    argsKeys: new Map(),
  };
  await openSequences(gate);
  for (const [sequence_id, one] of played) await perform(host, sequence_id, one);
  const receipts = (await Array.fromAsync(store.lines())).map((line) => {
    const receipt = JSON.parse(line) as Receipt;
    return { receipt, hash: recordHash(receipt) };
  });
  const keys = importKeySet({ keys: [key.publicJwk, personJwk] });
  const { requests, argsKeys } = host;
  const contexts = await contextsOf(receipts, store);
  return { policy, keys, receipts, requests, argsKeys, contexts };
}

const LOG = "log";
const SALT = new Uint8Array(32).fill(7);

interface Host {
  readonly gate: Gate;
  readonly clock: { now: number };
  readonly person: SigningKey;
  readonly calls: readonly object[];
  readonly allows: Map<string, Allow>;
  readonly requests: Map<string, ActionInput>;
  readonly argsKeys: Map<string, string>;
}

/** Opens the sequences that acts are played on, as every run does. */
export async function openSequences(gate: Gate): Promise<void> {
  await gate.open({ sequence_id: "s0", agent_id: AGENTS.s0, context: { payees: ["ben"] } });
  await gate.open({ sequence_id: "s1", agent_id: AGENTS.s1 });
}

async function perform(host: Host, sequence_id: SequenceName, one: Act): Promise<void> {
  const { gate, clock, allows } = host;
  switch (one.kind) {
    case "call":
      return call(host, sequence_id, one);
    case "wait":
      clock.now += one.ms;
      return;
    case "context":
      return void (await gate.addContext(sequence_id, { payees: ["eve"] }).catch(ignore));
    case "seal":
      return void (await gate.seal(sequence_id, "enough").catch(ignore));
    case "outcome": {
      const allow = allows.get(sequence_id);
      return void (allow && (await gate.outcome(allow, { status: "interrupted" })));
    }
    case "approve":
      return approve(host, sequence_id);
  }
}

async function call(
  { gate, clock, calls, allows, requests, argsKeys }: Host,
  sequence_id: SequenceName,
  one: Extract<Act, { readonly kind: "call" }>,
): Promise<void> {
  const request = {
    sequence_id,
    agent_id: AGENTS[sequence_id],
    ...(calls[one.call % calls.length] as { readonly tool: string }),
    args: one.args,
    nonce: one.nonce,
    ts_ms: one.call % 17 === 0 ? clock.now - 350_000 : clock.now,
  };
  const decision = await gate.decide(request);
  if (decision.decision === "ALLOW") allows.set(sequence_id, decision);
  if (decision.receipt === undefined) return;
  const hash = recordHash(decision.receipt);
  requests.set(hash, request);
  argsKeys.set(hash, argsKey(createSecretKey(SALT), { log_id: LOG, sequence_id }, one.nonce));
}

async function approve({ gate, clock, person }: Host, sequence_id: SequenceName): Promise<void> {
  const [request] = (await gate.state(sequence_id)).awaiting;
  if (request === undefined) return;
  const statement = { log_id: LOG, sequence_id, request, verdict: "approve" as const };
  await gate
    .approve(signApproval({ ...statement, expires_ms: clock.now + 300_000 }, person))
    .catch(ignore);
}

/** What a sealed sequence refuses to take is no part of the run. */
function ignore(): void {}

/** Every call that a policy knows, and some that it does not. */
function callsOf(policy: CompiledPolicy): readonly object[] {
  const tools = [...policy.tools.keys()].map((tool) => ({ tool }));
  const explicit = [...policy.functions.values()].flatMap(({ name, step, actions }) =>
    [...actions, "NONE"].flatMap((action_type) => [
      { function: name, action_type },
      ...(step === undefined ? [] : [{ function: name, action_type, step }]),
    ]),
  );
  // Tools often, for they alone have conditions of their own.
  return [
    ...Array.from({ length: 8 }, () => tools).flat(),
    ...explicit,
    { tool: "unknown" },
    { function: "unknown", action_type: "X", step: "pay" },
  ];
}

async function contextsOf(
  receipts: readonly { readonly receipt: Receipt }[],
  store: { document(digest: string): Promise<string | undefined> },
): Promise<ReadonlyMap<string, JsonObject>> {
  const contexts = new Map<string, JsonObject>();
  for (const { receipt } of receipts) {
    if (!("context_digest" in receipt) || receipt.context_digest === undefined) continue;
    const text = await store.document(receipt.context_digest);
    contexts.set(receipt.context_digest, parseStrictJson(text ?? "") as JsonObject);
  }
  return contexts;
}
