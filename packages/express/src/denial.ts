/** A denial over HTTP: problem details (RFC 9457) with the code and the receipt, never stored by a cache. */
import { randomUUID } from "node:crypto";
import {
  type Decision,
  DeniedError,
  type Deny,
  type DenyCode,
  httpStatus,
  recordHash,
} from "@stepgate/core";
import type { ErrorRequestHandler, Response } from "express";

/**
 * Answers a `DeniedError`, passed on by a guard with `onDeny: "next"` or thrown by `enforce` in a handler, as a guard
 * would. Every other error, and a response that has begun, is left to the next error handler. Mount it after the routes.
 */
export function gateErrorHandler(): ErrorRequestHandler {
  return (error: unknown, _req, res, next) => {
    if (!DeniedError.isInstance(error) || res.headersSent) return next(error);
    setDecisionHeaders(res, error.decision);
    answerDenied(res, error.decision);
  };
}

/**
 * `Stepgate-Decision` and `Stepgate-Receipt`, the record hash, stand on every answer. So does `Cache-Control: no-store`,
 * unless the handler says otherwise: a cached answer is an action without a decision.
 */
export function setDecisionHeaders(res: Response, decision: Decision): void {
  res.set("Stepgate-Decision", decision.decision);
  res.set("Cache-Control", "no-store");
  if (decision.receipt === undefined) res.removeHeader("Stepgate-Receipt");
  else res.set("Stepgate-Receipt", recordHash(decision.receipt));
}

/** Ends the response with the problem. */
export function answerDenied(res: Response, denied: Deny): void {
  const status = httpStatus(denied.deny_code);
  if (status === 503 || denied.deny_code === "OVERLOADED") res.set("Retry-After", RETRY_AFTER_S);
  res
    .status(status)
    .type("application/problem+json")
    .send(JSON.stringify(problemOf(denied, status)));
}

/** Stores and gates come back, and the shares of a sequence are counted, by the second. */
const RETRY_AFTER_S = "1";

function problemOf(denied: Deny, status: number): Record<string, unknown> {
  const { deny_code: code, message: detail, receipt, earlier } = denied;
  const approval = howToApprove(denied);
  return {
    type: `urn:stepgate:denial:${code}`,
    title: TITLES[code],
    status,
    detail,
    // Names this occurrence. The request's path would not, and `//host/path` would lead elsewhere.
    instance:
      receipt === undefined
        ? `urn:uuid:${randomUUID()}`
        : `urn:stepgate:receipt:${recordHash(receipt)}`,
    code,
    ...(receipt === undefined ? {} : { receipt }),
    ...(earlier === undefined ? {} : { earlier }),
    ...(approval === undefined ? {} : { approval }),
  };
}

/**
 * What an approver signs, who may, and the nonce under which the same request then runs. Neither arguments nor their key:
 * the client is not the approver. A handler of `onDeny: "next"` finds both in the error's decision.
 */
function howToApprove({ approval, receipt }: Deny): Record<string, unknown> | undefined {
  if (approval === undefined || receipt === undefined) return undefined;
  const { log_id, sequence_id, request, count, roles } = approval;
  const { nonce } = receipt;
  const command = `stepgate approve --sequence ${sequence_id} --request ${request} --key KEY`;
  return { log_id, sequence_id, request, count, roles, nonce, command };
}

const TITLES: Readonly<Record<DenyCode, string>> = {
  INVALID_REQUEST: "The request is not well formed",
  STALE_TIMESTAMP: "The request is too old or from the future",
  REPLAY_NONCE: "The nonce was used before",
  SEALED_SEQUENCE: "The sequence is sealed",
  NO_POLICY_MATCH: "The policy knows no such call",
  SEQUENCE_VIOLATION: "The call is out of order",
  ACTION_NOT_ALLOWED: "The action is not allowed",
  ARGUMENT_VIOLATION: "The arguments are not allowed",
  LIMIT_EXCEEDED: "A limit is exceeded",
  APPROVAL_REQUIRED: "A person must approve this call",
  POLICY_UNAVAILABLE: "The policy is unavailable",
  POLICY_ERROR: "The policy could not be evaluated",
  OVERLOADED: "The sequence takes no more records now",
  STORE_UNAVAILABLE: "The receipt could not be stored",
  GATE_UNAVAILABLE: "The gate is unavailable",
};
