/** People for tests, each with a key of their own and roles. Nothing in them is a mock. */
import {
  type Approval,
  type ApprovalRequest,
  type ApprovalStatement,
  generateSigningKey,
  importKeySet,
  type KeySet,
  type SigningKey,
  signApproval,
} from "@stepgate/core";

/** Somebody who approves. */
export interface Person {
  readonly key: SigningKey;
  readonly roles: readonly string[];
  /** Signs for this request; `change` replaces members of the statement before it is signed. */
  approve(
    request: Pick<ApprovalRequest, "log_id" | "sequence_id" | "request">,
    change?: Partial<ApprovalStatement>,
  ): Approval;
}

/** A person with a new key. */
export function person(...roles: readonly string[]): Person {
  const key = generateSigningKey();
  return {
    key,
    roles,
    approve: ({ log_id, sequence_id, request }, change = {}) =>
      signApproval(
        { log_id, sequence_id, request, verdict: "approve", expires_ms: YEAR_2100, ...change },
        key,
      ),
  };
}

/** What a gate is given, so that these people's approvals count. */
export function approversOf(...people: readonly Person[]): KeySet {
  return importKeySet({
    keys: people.map(({ key, roles }) => ({ ...key.publicJwk, roles })),
  });
}

const YEAR_2100 = 4_102_444_800_000;
