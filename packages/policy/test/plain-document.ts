/** Random policies as documents for the real compiler, and runs of them decided by the gate's own pure engine. */
import { createHash } from "node:crypto";
import {
  applyReceipt,
  type CompiledPolicy,
  decide,
  type DecisionReceipt,
  type JsonObject,
  openState,
  type OpenReceipt,
} from "@stepgate/core";
import { checkDocument } from "../src/check-document.ts";
import type { PolicyCall, PolicyDocument } from "../src/index.ts";
import { orderText, type PlainPolicy } from "./plain-policy.ts";

/** The policy as its author would write it, everything in its longest form. */
export function documentOf(plain: PlainPolicy): PolicyDocument {
  const conditions = ({ max, when }: { readonly max?: number; readonly when?: string }) => ({
    ...(when !== undefined && { when }),
    ...(max !== undefined && { limits: { calls: { max } } }),
  });
  return {
    schema: "stepgate.policy/1",
    id: "plain",
    version: "1",
    sequence: orderText(plain.order),
    functions: Object.fromEntries(
      plain.functions.map(({ name, step, actions, ...rest }) => [
        name,
        { step, actions, ...conditions(rest) },
      ]),
    ),
    tools: Object.fromEntries(
      plain.tools.map(({ name, functions, action, ...rest }) => [
        name,
        { function: functions, action, ...conditions(rest) },
      ]),
    ),
    constraints: plain.constraints.map(({ kind, first, second }) => {
      const pair = [selectorOf(first), selectorOf(second)] as const;
      return kind === "precedence" ? { precedence: pair } : { never: pair };
    }),
    forbid: plain.forbid,
    ...(plain.agents && {
      agents: Object.fromEntries(
        Object.entries(plain.agents).map(([pattern, functions]) => [pattern, { functions }]),
      ),
    }),
    sealOn: plain.sealOn,
  };
}

function selectorOf({ member, name }: PlainPolicy["constraints"][number]["first"]) {
  return { [member === "action_type" ? "action" : member]: name };
}

/** The compiled policy whether it can be completed or not; nothing where it has another fault. */
export function compileDocument(document: PolicyDocument): CompiledPolicy | undefined {
  return checkDocument(document, () => []).policy;
}

/** One call with its arguments. */
export interface MadeCall {
  readonly call: PolicyCall;
  readonly args: JsonObject;
}

/** What came of one call: `ALLOW`, with what it stood for; or a code, with its rule. */
export interface Answer {
  readonly made: MadeCall;
  readonly code: string;
  readonly rule?: string;
  readonly function?: string;
}

const NOON = 1_800_000_000_000;
const MODE = { mode: "enforce", gate_id: "g", log_id: "l", sequence_id: "s" } as const;

/** Makes the calls in order in one sequence, each with a nonce of its own, and folds what is decided into its state. */
export function play(
  policy: CompiledPolicy,
  agent: string | undefined,
  calls: readonly MadeCall[],
): readonly Answer[] {
  const common = {
    v: "stepgate.receipt/1",
    ...MODE,
    prev: "",
    ts_ms: NOON,
    policy_id: policy.id,
    policy_version: policy.version,
    policy_digest: policy.digest,
    ...(agent !== undefined && { agent_id: agent }),
  } as const;
  const opened: OpenReceipt = { ...common, kind: "open", seq: 0 };
  const state = openState(opened, "0", policy);
  return calls.map((made, index) => {
    const args_digest = digest(JSON.stringify(made.args));
    const nonce = `n${index}`;
    const { call, refusal, effects, seals } = decide(
      policy,
      state,
      { call: made.call, nonce, args_digest, ts_ms: NOON },
      { clock: NOON, record: NOON },
      {
        args: made.args,
        context: { request: "pay 1" },
        bindDigest: digest,
        counted: new Map(),
        rolesOf: () => [],
      },
    );
    const receipt: DecisionReceipt = {
      ...common,
      ...call,
      kind: "decision",
      seq: index + 1,
      nonce,
      args_digest,
      ...(refusal === undefined
        ? { decision: "ALLOW" }
        : { decision: "DENY", deny_code: refusal.code, rule: refusal.rule }),
      ...(effects && { effects }),
      ...(seals && { sealed: true }),
    };
    applyReceipt(state, receipt, `${index + 1}`);
    return {
      made,
      code: refusal?.code ?? "ALLOW",
      ...(refusal && { rule: refusal.rule }),
      ...(call.function !== undefined && { function: call.function }),
    };
  });
}

function digest(text: string): string {
  return createHash("sha256").update(text).digest("hex");
}
