/** Every error that Stepgate throws, and its code. A denial is data from `decide` and an error only from `enforce`. */
import { type Deny, type DenyCode, httpStatus } from "./decision.ts";

/**
 * What went wrong, where it is not a denial: `CONFLICT` (opened before with other content), `BYPASSED` (a call came
 * back without a decision), `NOT_OPENED`, `INVALID_INPUT`, `KEY_INVALID`, `LOG_MISMATCH` (the store belongs to another
 * log or mode), `POLICY_INVALID`, `STORE_UNAVAILABLE`, `RECEIPT_INVALID`, `UNSUPPORTED`.
 */
export type GateErrorCode =
  | "CONFLICT"
  | "BYPASSED"
  | "NOT_OPENED"
  | "INVALID_INPUT"
  | "KEY_INVALID"
  | "LOG_MISMATCH"
  | "POLICY_INVALID"
  | "STORE_UNAVAILABLE"
  | "RECEIPT_INVALID"
  | "UNSUPPORTED";

// Two copies of this package can be installed beside each other, where `instanceof` fails: a registered symbol does not.
const GATE_ERROR = Symbol.for("stepgate.error");
const DENIED_ERROR = Symbol.for("stepgate.error.denied");

/** The base of all Stepgate errors; `code` says what went wrong, `cause` holds the error beneath it. */
export class GateError<C extends string = GateErrorCode | DenyCode> extends Error {
  override readonly name: string = "GateError";
  readonly code: C;

  constructor(code: C, message: string, options?: { readonly cause?: unknown }) {
    super(message, options);
    this.code = code;
    Object.defineProperty(this, GATE_ERROR, { value: true });
  }

  /** True for a `GateError` of any installed copy of this package. */
  static isInstance(error: unknown): error is GateError {
    return hasMarker(error, GATE_ERROR);
  }
}

/** Thrown by `enforce` and the adapters in place of the action: the gate said DENY. `status` is the HTTP status for it. */
export class DeniedError extends GateError<DenyCode> {
  override readonly name = "DeniedError";
  readonly status: number;
  // Not enumerable: error serialisers must not carry the receipt into a model's context or a log line.
  readonly #decision: Deny;

  constructor(decision: Deny) {
    super(decision.deny_code, `${decision.deny_code}: ${decision.message}`);
    Object.defineProperty(this, DENIED_ERROR, { value: true });
    this.#decision = decision;
    this.status = httpStatus(decision.deny_code);
  }

  /** The denial as data, with its receipt where one exists. */
  get decision(): Deny {
    return this.#decision;
  }

  /** True for a `DeniedError` of any installed copy of this package. */
  static override isInstance(error: unknown): error is DeniedError {
    return hasMarker(error, DENIED_ERROR);
  }
}

function hasMarker(error: unknown, marker: symbol): boolean {
  return (
    typeof error === "object" &&
    error !== null &&
    (error as Record<symbol, unknown>)[marker] === true
  );
}
