/** A record read backwards: the request that it tells of, and the record that another policy would have written. */
import type { CallForm } from "./action-request.ts";
import type { CompiledPolicy } from "./compiled-policy.ts";
import type { DecisionInput, DecisionTime, Verdict } from "./decide.ts";
import type { DecisionReceipt } from "./receipt.ts";
import { callOf } from "./sequence-state.ts";
import { callForm } from "./verify-decision.ts";

/**
 * A record of an explicit call tells the step that was asked for, or else that of the function under its own policy. Only
 * where this policy gives the function another step does it matter which.
 */
export function possibleForms(
  receipt: DecisionReceipt,
  policy: CompiledPolicy,
): readonly [CallForm, ...CallForm[]] {
  const form = callForm(receipt);
  if (form.step === undefined || form.step === policy.functions.get(form.function)?.step)
    return [form];
  const { rule } = receipt;
  const wasAskedFor = rule === "functions" || rule === `functions.${form.function}.step`;
  const { step: _step, ...without } = form;
  return wasAskedFor ? [form] : [form, without];
}

/** What is decided on. */
export function inputOf(
  receipt: DecisionReceipt,
  call: CallForm,
  policy: CompiledPolicy,
): DecisionInput {
  const { nonce = "", args_digest = "", ts_ms, request_ts_ms = ts_ms } = receipt;
  // The gate's clock is not on record: under the same policy its word on freshness stands.
  const stale = receipt.deny_code === "STALE_TIMESTAMP" ? Number.NaN : ts_ms;
  const same = receipt.policy_digest === policy.digest;
  return { call, nonce, args_digest, ts_ms: same ? stale : request_ts_ms };
}

/** The record's time, for both clocks. */
export function timeOf({ ts_ms }: DecisionReceipt): DecisionTime {
  return { clock: ts_ms, record: ts_ms };
}

/** The record as the policy of this verdict would have written it. */
export function rewritten(receipt: DecisionReceipt, verdict: Verdict): DecisionReceipt {
  const {
    step: _step,
    function: _function,
    action_type: _action,
    tool: _tool,
    ...others
  } = receipt;
  const { deny_code: _code, rule: _rule, resumes: _resumes, effects: _effects, ...rest } = others;
  const {
    sealed: _sealed,
    audience: _audience,
    attempt: _attempt,
    args_digest = "",
    ...kept
  } = rest;
  const { refusal, call, seals, resumes, effects } = verdict;
  const answer =
    refusal === undefined
      ? { decision: "ALLOW" as const, ...(seals ? { sealed: true as const } : {}) }
      : { decision: "DENY" as const, deny_code: refusal.code, rule: refusal.rule };
  return {
    ...kept,
    ...callOf(call),
    args_digest,
    ...answer,
    ...(resumes === undefined ? {} : { resumes }),
    ...(effects === undefined ? {} : { effects }),
  };
}
