/** Chains written by hand, `hash 0`, `hash 1`, … being their hashes: for rooms that ask what records say, not who signed them. */
import type { CompiledPolicy } from "../src/compiled-policy.ts";
import { genesisHash } from "../src/digest.ts";
import type { KeySet } from "../src/key-set.ts";
import type { Receipt } from "../src/receipt.ts";
import { checkSignature } from "../src/signature-check.ts";
import { type Chain, type ChainEvidence, followRecord, newChain } from "../src/verify-chain.ts";

/** Under this policy these chains are opened. */
const PINNED = {
  policy_id: "p",
  policy_version: "1",
  policy_digest: "digest of p",
} as const;

const common = { v: "stepgate.receipt/1", log_id: "log-1", sequence_id: "s", gate_id: "gate-1" };

/** What differs from one record to another. */
export interface Drafted {
  readonly kind: string;
  readonly [member: string]: unknown;
}

/** The record that opens the chain. */
export function opened(change: object = {}): Drafted {
  return { kind: "open", mode: "enforce", agent_id: "a", ...PINNED, ...change };
}

/** An ALLOW of function `f`, unless it is changed. */
export function allowed(nonce: string, change: object = {}): Drafted {
  return {
    kind: "decision",
    decision: "ALLOW",
    mode: "enforce",
    agent_id: "a",
    ...PINNED,
    step: "f",
    function: "f",
    action_type: "DO",
    nonce,
    attempt: nonce,
    args_digest: "digest of args",
    ...change,
  };
}

/** The ALLOW of function `end`, which seals. */
export function sealing(nonce: string, change: object = {}): Drafted {
  return allowed(nonce, {
    step: "end",
    function: "end",
    action_type: "SEAL",
    sealed: true,
    ...change,
  });
}

/** A denial. */
export function denied(
  nonce: string,
  deny_code: string,
  rule: string,
  change: object = {},
): Drafted {
  return allowed(nonce, { decision: "DENY", deny_code, rule, ...change });
}

/** What became of the ALLOW at this place. */
export function ended(place: number, status = "succeeded"): Drafted {
  return { kind: "outcome", decision_hash: `hash ${place}`, status };
}

/** These records in their places, one after another, each linked to the one before. */
export function linked(...drafts: readonly Drafted[]): readonly Receipt[] {
  const prev = genesisHash({ log_id: "log-1", sequence_id: "s" });
  return drafts.map((draft, seq) => {
    const place = { seq, prev: seq === 0 ? prev : `hash ${seq - 1}`, ts_ms: 1000 };
    return { ...common, ...place, ...draft } as unknown as Receipt;
  });
}

/** `CODE: message` of each record that has a fault, in order, by the place at which it was given. */
export function faultsOf(
  records: readonly Receipt[],
  evidence: Partial<ChainEvidence> = {},
  chain: Chain = newChain(),
): readonly string[] {
  const by = { policies: undefined, keys: NOBODY, holds: checkSignature, ...evidence };
  return records.flatMap((record, at) => {
    const found = followRecord(chain, record, `hash ${at}`, by);
    return found === undefined ? [] : [`${at} ${found.code}: ${found.message}`];
  });
}

const NOBODY: KeySet = new Map();

/** The policy of these chains: function `f` any number of times, then `end`, which seals; and whatever is changed. */
export function policyByHand(change: Partial<CompiledPolicy> = {}): CompiledPolicy {
  const actions = new Set(["DO"]);
  return {
    id: "p",
    version: "1",
    digest: "digest of p",
    normalForm: "{}",
    steps: ["f", "end"],
    automaton: {
      states: 2,
      next: Int32Array.from([0, 1, -1, -1]),
      accepting: Uint8Array.from([1, 1]),
    },
    functions: new Map([
      ["f", { name: "f", step: "f", stepIndex: 0, actions }],
      ["end", { name: "end", step: "end", stepIndex: 1, actions: new Set(["SEAL"]) }],
    ]),
    tools: new Map(),
    constraints: [],
    forbid: [],
    sealOn: new Set(["SEAL"]),
    freshnessMs: 1_000_000,
    lifetimeMs: 1_000_000,
    toolPairs: new Set(),
    ...change,
  };
}

/** That policy, for a verifier that holds it. */
export function held(policy: CompiledPolicy = policyByHand()): Pick<ChainEvidence, "policies"> {
  return { policies: new Map([[policy.digest, policy]]) };
}
