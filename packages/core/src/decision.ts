/** The answer of the gate, its codes, and what they mean over HTTP. */
import type { ApprovalRequest } from "./approval-request.ts";
import type { JsonObject } from "./canonical-json.ts";
import type { DecisionReceipt, OutcomeStatus } from "./receipt.ts";

/** Every code that a denial can carry: exactly one a denial, the first check that failed. */
export const DENY_CODES = [
  "INVALID_REQUEST",
  "STALE_TIMESTAMP",
  "REPLAY_NONCE",
  "SEALED_SEQUENCE",
  "NO_POLICY_MATCH",
  "SEQUENCE_VIOLATION",
  "ACTION_NOT_ALLOWED",
  "ARGUMENT_VIOLATION",
  "LIMIT_EXCEEDED",
  "APPROVAL_REQUIRED",
  "POLICY_UNAVAILABLE",
  "POLICY_ERROR",
  "OVERLOADED",
  "STORE_UNAVAILABLE",
  "GATE_UNAVAILABLE",
] as const;

/** One of {@link DENY_CODES}. */
export type DenyCode = (typeof DENY_CODES)[number];

/** The denials that leave the nonce unused. */
const BURNS_NO_NONCE: ReadonlySet<DenyCode> = new Set<DenyCode>([
  "STALE_TIMESTAMP",
  "REPLAY_NONCE",
  "INVALID_REQUEST",
  "POLICY_UNAVAILABLE",
]);

/** True for a recorded decision that uses its nonce up: all but these denials, and but those that come back to one. */
export function burnsNonce({
  deny_code,
  resumes,
}: Pick<DecisionReceipt, "deny_code" | "resumes">): boolean {
  return resumes === undefined && (deny_code === undefined || !BURNS_NO_NONCE.has(deny_code));
}

/** The first answer to this nonce, and what became of it, so that a retrying client learns it. */
export interface Earlier {
  readonly decision_hash: string;
  readonly deny_code?: DenyCode;
  readonly status?: OutcomeStatus;
}

/** Permission for one action, with the exact arguments that were decided. Its receipt is durable already. */
export interface Allow {
  readonly decision: "ALLOW";
  readonly proceed: true;
  /** Run the action with this copy, never with the object that was handed in. */
  readonly args: JsonObject;
  /** 64 hex digits; discloses this call's arguments against its receipt, and entitles to report its outcome. */
  readonly args_key: string;
  readonly message: string;
  readonly receipt: DecisionReceipt;
  readonly next_steps?: readonly string[];
  readonly permit?: string;
  readonly earlier?: Earlier;
}

/** A refusal as data. `receipt` is absent only where none can exist. */
export interface Deny {
  readonly decision: "DENY";
  /** True only in shadow mode, where the action runs all the same. */
  readonly proceed: boolean;
  readonly deny_code: DenyCode;
  /** The member of the policy or the request that refused, e.g. `functions.intake.actions`. */
  readonly rule?: string;
  /** One sentence for a model or a person; never argument values or secrets. */
  readonly message: string;
  readonly receipt?: DecisionReceipt;
  /** In shadow mode the decided copy, to run the action with. */
  readonly args?: JsonObject;
  readonly next_steps?: readonly string[];
  readonly permitted_tools?: readonly string[];
  /** On APPROVAL_REQUIRED: what people are asked, and what they sign. */
  readonly approval?: ApprovalRequest;
  readonly earlier?: Earlier;
}

/** What `decide` answers: ALLOW or DENY, nothing else. */
export type Decision = Allow | Deny;

/** The HTTP status for a denial (adapters.md, Express): 400, 403, 409, 429 or 503. */
export function httpStatus(code: DenyCode): 400 | 403 | 409 | 429 | 503 {
  switch (code) {
    case "INVALID_REQUEST":
    case "STALE_TIMESTAMP":
      return 400;
    case "REPLAY_NONCE":
    case "SEALED_SEQUENCE":
    case "SEQUENCE_VIOLATION":
      return 409;
    case "LIMIT_EXCEEDED":
    case "OVERLOADED":
      return 429;
    case "POLICY_ERROR":
    case "POLICY_UNAVAILABLE":
    case "STORE_UNAVAILABLE":
    case "GATE_UNAVAILABLE":
      return 503;
    default:
      return 403;
  }
}
