/**
 * A sequence in a store as a register that is compared and set: the sequential model that histories of appends and reads
 * are checked against. Written from the prose of `Store` for the checker, apart from `store-model.ts`.
 */
import type { AppendResult } from "@stepgate/core";
import type { SequentialModel } from "./linearizable.ts";

/** A call on one sequence. Records are told apart by `id`. */
export type RegisterCall =
  | {
      readonly call: "append";
      readonly seq: number;
      readonly id: string;
      readonly nonce?: string;
    }
  | { readonly call: "read" };

/** What it was answered: an append's result, or the ids that were read. */
export type RegisterAnswer = Exclude<AppendResult, "unknown" | "limited"> | readonly string[];

/** Ids by place, and the nonces that they burnt. */
interface Register {
  readonly ids: readonly string[];
  readonly nonces: readonly string[];
}

/** An empty sequence, and what appends and reads do to it. */
export const registerModel: SequentialModel<Register, RegisterCall, RegisterAnswer> = {
  initial: { ids: [], nonces: [] },
  step(register, call, answer) {
    if (call.call === "read")
      return String(answer) === String(register.ids) && answer !== undefined ? register : undefined;
    const due = dueTo(register, call);
    if (answer !== undefined && answer !== due) return undefined;
    const standing = register.ids[call.seq] === call.id;
    if (due !== "won" || standing) return answer === undefined ? undefined : register;
    const nonces = call.nonce === undefined ? register.nonces : [...register.nonces, call.nonce];
    return { ids: [...register.ids, call.id], nonces };
  },
  key: ({ ids }) => ids.join(),
};

function dueTo(
  { ids, nonces }: Register,
  { seq, id, nonce }: Extract<RegisterCall, { readonly call: "append" }>,
): RegisterAnswer {
  if (ids[seq] === id) return "won";
  if (seq !== ids.length) return "lost";
  return nonce !== undefined && nonces.includes(nonce) ? "replay" : "won";
}
