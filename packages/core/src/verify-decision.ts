/** One decision in its chain: may its nonce be used, was it approved, does the policy give it, do its effects follow? */
import type { CallForm } from "./action-request.ts";
import type { CompiledPolicy } from "./compiled-policy.ts";
import { hasCondition, isApproved, limitsOf, soFar } from "./conditions.ts";
import { addDecimals, compareDecimals } from "./decimal.ts";
import { decide, type Verdict } from "./decide.ts";
import { burnsNonce } from "./decision.ts";
import { type Fault, fault } from "./finding.ts";
import { admitNonce } from "./nonce.ts";
import type { DecisionReceipt } from "./receipt.ts";
import { type ApprovalVote, conditionsOf, type SequenceState, votesOn } from "./sequence-state.ts";
import { type KeySet, rolesAt } from "./key-set.ts";

/** The first fault of a decision that stands in its place, in the order of receipt.md's findings. */
export function decisionFault(
  state: SequenceState,
  receipt: DecisionReceipt,
  keys: KeySet,
): Fault | undefined {
  return (
    nonceFault(state, receipt) ??
    resumeFault(state, receipt) ??
    approvedFault(state, receipt, keys) ??
    policyFault(state, receipt) ??
    recomputedFault(state, receipt) ??
    effectsFault(state, receipt)
  );
}

function nonceFault(state: SequenceState, receipt: DecisionReceipt): Fault | undefined {
  if (!burnsNonce(receipt) || !state.nonces.has(receipt.nonce ?? "")) return undefined;
  return fault("DUPLICATE_NONCE", "its nonce was used before");
}

function resumeFault(state: SequenceState, receipt: DecisionReceipt): Fault | undefined {
  const { resumes, nonce = "", args_digest = "" } = receipt;
  if (resumes === undefined) return undefined;
  const back = admitNonce(state, nonce, callForm(receipt), args_digest);
  const root = back.kind === "interrupted" ? back.root : undefined;
  const denial = back.kind === "approval" ? back.use.hash : undefined;
  if (resumes !== (root ?? denial)) return mismatch("resumes what may not come back");
  const counted = receipt.sealed !== undefined || receipt.effects !== undefined;
  return counted && root !== undefined ? mismatch("counts a resumed call again") : undefined;
}

/**
 * An ALLOW needs the approvals that its policy asks for. Whether a condition asks for one takes arguments: that is known
 * where this very call was denied for it, unless the context changed since.
 */
function approvedFault(
  state: SequenceState,
  receipt: DecisionReceipt,
  keys: KeySet,
): Fault | undefined {
  if (receipt.decision !== "ALLOW") return undefined;
  const { policy, context } = state;
  const use = state.nonces.get(receipt.nonce ?? "");
  const denial = use?.deny_code === "APPROVAL_REQUIRED" ? use : undefined;
  const asked = denial !== undefined && context.seq < denial.seq ? denial : undefined;
  if (policy === undefined && asked === undefined) return undefined;
  const votes = votesOn(state, denial?.hash);
  // A key that is not trusted was found at its statement; what the statement is worth nobody can say here.
  if (![...votes.keys()].every((keyId) => keys.has(keyId))) return undefined;
  const rolesOf = (keyId: string): readonly string[] => rolesAt(keys, keyId, receipt.ts_ms);
  const lacking =
    policy === undefined
      ? asked?.call.function === receipt.function &&
        !isApprovedByAnyone(votes, rolesOf, receipt.ts_ms)
      : conditionsOf(policy, receipt).some(
          ({ path, approval }) =>
            approval !== undefined &&
            (approval.when === undefined || asked?.rule === `${path}.approval`) &&
            !isApproved(approval, votes, rolesOf, receipt.ts_ms),
        );
  return lacking
    ? fault("APPROVAL_MISMATCH", "was allowed without the approvals that it needed")
    : undefined;
}

/** Without the policy nobody knows how many, in which roles: some person with a role at least must have approved. */
function isApprovedByAnyone(
  votes: ReadonlyMap<string, ApprovalVote>,
  rolesOf: (keyId: string) => readonly string[],
  ts_ms: number,
): boolean {
  return [...votes].some(
    ([keyId, { verdict, expires_ms }]) =>
      verdict === "approve" && ts_ms < expires_ms && rolesOf(keyId).length > 0,
  );
}

function policyFault(state: SequenceState, receipt: DecisionReceipt): Fault | undefined {
  const { opened } = state;
  const same =
    receipt.policy_digest === opened.policy_digest &&
    receipt.policy_id === opened.policy_id &&
    receipt.policy_version === opened.policy_version;
  return same
    ? undefined
    : fault("POLICY_MISMATCH", "was decided under another policy than its opening");
}

/** Checks 2 to 6 decided again. The gate's clock is not on record, so the two codes around it are taken as they are. */
function recomputedFault(state: SequenceState, receipt: DecisionReceipt): Fault | undefined {
  const { policy } = state;
  const code = receipt.deny_code;
  if (policy === undefined || code === "INVALID_REQUEST" || code === "POLICY_UNAVAILABLE")
    return undefined;
  const { ts_ms, nonce = "", args_digest = "" } = receipt;
  const verdict = decide(
    policy,
    state,
    { call: callForm(receipt), nonce, args_digest, ts_ms },
    { clock: ts_ms, record: ts_ms },
    undefined,
  );
  const stale = code === "STALE_TIMESTAMP" && receipt.rule === "freshness";
  const same =
    (stale || isAsRecorded(verdict, receipt, policy)) &&
    verdict.resumes === receipt.resumes &&
    (["step", "function", "action_type", "tool", "audience"] as const).every(
      (member) => verdict.call[member] === receipt[member],
    );
  if (same) return undefined;
  const computed =
    verdict.refusal === undefined ? "ALLOW" : `${verdict.refusal.code} (${verdict.refusal.rule})`;
  return fault("DECISION_MISMATCH", `the policy gives ${computed}`);
}

/** Checks 7 to 9 need arguments: a refusal by them is believed where the policy has that condition and 2 to 6 pass. */
function isAsRecorded(verdict: Verdict, receipt: DecisionReceipt, policy: CompiledPolicy): boolean {
  const { deny_code: code, rule = "" } = receipt;
  if (code !== undefined && BY_CONDITIONS.has(code)) {
    // Limits were counted at the root of a call that comes back.
    const counted = code === "LIMIT_EXCEEDED" && verdict.earlier?.root !== undefined;
    const passed = verdict.refusal === undefined && !counted;
    return passed && hasCondition(conditionsOf(policy, receipt), code, rule);
  }
  const { refusal, seals } = verdict;
  const sealed = receipt.sealed === true;
  return refusal?.code === code && refusal?.rule === receipt.rule && seals === sealed;
}

const BY_CONDITIONS: ReadonlySet<string> = new Set([
  "ARGUMENT_VIOLATION",
  "LIMIT_EXCEEDED",
  "APPROVAL_REQUIRED",
  "POLICY_ERROR",
]);

/** The request as it must have been: in the tool form where a tool is named. */
export function callForm(receipt: DecisionReceipt): CallForm {
  if (receipt.tool !== undefined) return { tool: receipt.tool };
  const { function: fn = "", action_type = "", step } = receipt;
  return { function: fn, action_type, ...(step === undefined ? {} : { step }) };
}

function mismatch(message: string): Fault {
  return fault("OUTCOME_MISMATCH", message);
}

/** Effects take arguments to be recomputed; that they cannot follow from what stood before shows without. */
function effectsFault(state: SequenceState, receipt: DecisionReceipt): Fault | undefined {
  const { policy, nonces, binds: standing } = state;
  const comesBack = nonces.get(receipt.nonce ?? "")?.root !== undefined;
  if (policy === undefined || receipt.decision !== "ALLOW" || comesBack) return undefined;
  const conditions = conditionsOf(policy, receipt);
  const limits = conditions.flatMap(limitsOf).filter(({ limit }) => limit.per === undefined);
  const sums = limits.filter(({ of }) => of !== undefined).map(({ rule }) => rule);
  const names = conditions.flatMap(({ bind }) => bind.map(({ name }) => name));
  const { binds = {}, totals = {} } = receipt.effects ?? {};
  if (!isNamed(binds, names) || !isNamed(totals, sums))
    return fault("DECISION_MISMATCH", "its effects are not those of its conditions");
  if (Object.entries(binds).some(([name, digest]) => digest !== (standing.get(name) ?? digest)))
    return fault("DECISION_MISMATCH", "binds a name to another value than the one that it had");
  const wrong = limits.find(({ rule, limit }) => {
    const before = soFar(state, rule);
    const after = totals[rule] ?? addDecimals(before, "1");
    return compareDecimals(after, before) < 0 || compareDecimals(after, limit.max) > 0;
  });
  return wrong && fault("DECISION_MISMATCH", `cannot follow by ${wrong.rule}`);
}

function isNamed(members: object, names: readonly string[]): boolean {
  const found = Object.keys(members);
  return (
    found.length === new Set(names).size && names.every((name) => Object.hasOwn(members, name))
  );
}
