/** People who approve: their keys, and the key set that a gate and a verifier trust. */
import {
  type Approval,
  type ApprovalStatement,
  type Decision,
  generateSigningKey,
  importKeySet,
  type KeySet,
  type PublicJwk,
  recordHash,
  signApproval,
  type SigningKey,
} from "../src/index.ts";

/** A key with the members that its place in the key set adds. */
export interface Person {
  readonly key: SigningKey;
  readonly jwk: PublicJwk;
}

/** A person with a new key. */
export function person(more: Partial<PublicJwk>): Person {
  const key = generateSigningKey();
  return { key, jwk: { ...key.publicJwk, ...more } };
}

/** The set of these people's keys. */
export function keySetOf(people: readonly Person[]): KeySet {
  return importKeySet({ keys: people.map(({ jwk }) => jwk) });
}

/** What this person says of a denial; until the end of time unless it says otherwise. */
export function statement(
  denial: Decision,
  by: Person,
  change: Partial<ApprovalStatement> = {},
): Approval {
  const { receipt } = denial;
  if (receipt === undefined) throw new Error("only a denial on record is approved");
  const { log_id, sequence_id } = receipt;
  return signApproval(
    {
      log_id,
      sequence_id,
      request: recordHash(receipt),
      verdict: "approve",
      expires_ms: Number.MAX_SAFE_INTEGER,
      ...change,
    },
    by.key,
  );
}
