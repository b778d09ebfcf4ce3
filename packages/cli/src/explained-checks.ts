/** The checks of decision.md in their order, and how a decision came out of each. */
import { type Decision, type DenyCode, GateError } from "@stepgate/core";

/** One check of decision.md, and how it came out. */
export interface Check {
  readonly check: string;
  readonly asks: string;
  readonly code: DenyCode;
  readonly result: "passed" | "failed" | "not reached";
  /** Of a check that was reached: each condition that stands on the function or the tool, by itself. */
  readonly conditions?: readonly ExplainedCondition[];
}

/** A condition of checks 7 to 9. */
export interface ExplainedCondition {
  readonly rule: string;
  readonly holds: boolean;
  /** What it asks, and the value that it was asked of. */
  readonly says: string;
  /** `file:line:column` in the policy. */
  readonly at?: string;
}

/** A condition, and the check that it belongs to. */
export interface PlacedCondition extends ExplainedCondition {
  readonly check: string;
}

/** Every check in order: those before the one that refused passed, those after it were not reached. */
export function checksOf(
  decision: Decision,
  conditions: readonly PlacedCondition[],
): readonly Check[] {
  const failed = failedCheck(decision);
  return CHECKS.map((check, index) => {
    const result =
      failed < 0 || index < failed ? "passed" : index === failed ? "failed" : "not reached";
    const own = conditions.filter((one) => one.check === check.check && result !== "not reached");
    const code =
      result === "failed" && decision.decision === "DENY" ? decision.deny_code : check.code;
    return {
      ...check,
      code,
      result,
      ...(own.length === 0 ? {} : { conditions: own.map(({ check: _check, ...one }) => one) }),
    };
  });
}

const CHECKS: readonly Pick<Check, "check" | "code" | "asks">[] = [
  { check: "0", code: "INVALID_REQUEST", asks: "well formed, and the sequence is the caller's" },
  { check: "policy", code: "POLICY_UNAVAILABLE", asks: "the sequence is pinned to this policy" },
  { check: "1", code: "STALE_TIMESTAMP", asks: "the request is fresh" },
  { check: "2", code: "REPLAY_NONCE", asks: "the nonce is unused in this sequence" },
  {
    check: "3",
    code: "SEALED_SEQUENCE",
    asks: "the sequence is not sealed, not past its lifetime",
  },
  { check: "4", code: "NO_POLICY_MATCH", asks: "tool, function and step are known to the policy" },
  {
    check: "5",
    code: "SEQUENCE_VIOLATION",
    asks: "the step is admissible now, every constraint holds",
  },
  {
    check: "6",
    code: "ACTION_NOT_ALLOWED",
    asks: "the action is permitted for the function and this agent",
  },
  { check: "7", code: "ARGUMENT_VIOLATION", asks: "the arguments are such as the policy admits" },
  { check: "8", code: "LIMIT_EXCEEDED", asks: "the limits leave room for it" },
  { check: "9", code: "APPROVAL_REQUIRED", asks: "enough of the right people approve" },
];

/** A condition that could not be evaluated fails the check that it belongs to. @throws GateError for a fault of the engine. */
function failedCheck(decision: Decision): number {
  if (decision.decision === "ALLOW") return -1;
  const { deny_code, rule = "", message } = decision;
  const check =
    deny_code !== "POLICY_ERROR"
      ? CHECKS.findIndex(({ code }) => code === deny_code)
      : CHECKS.findIndex((one) => one.check === (rule.endsWith(".approval") ? "9" : "7"));
  // No explanation of a request.
  if (check < 0) throw new GateError(deny_code, message);
  return check;
}
