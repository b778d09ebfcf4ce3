/** When a nonce may be used, and when a used one may come back (decision.md, “Coming back to a call”). */
import type { CallForm } from "./action-request.ts";
import type { CallMembers } from "./receipt.ts";
import type { NonceUse, SequenceState } from "./sequence-state.ts";

/** How often an interrupted call is allowed again. */
const MAX_RESUMES = 16;

/**
 * - `fresh`: never used.
 * - `interrupted`: its latest ALLOW was left to be entered again; order, seal and limits are those of its root.
 * - `approval`: it was answered APPROVAL_REQUIRED, and is asked again.
 * - `replay`: used, and it stays used.
 */
export type NonceAdmission =
  | { readonly kind: "fresh" }
  | { readonly kind: "interrupted"; readonly use: NonceUse; readonly root: string }
  | { readonly kind: "approval"; readonly use: NonceUse }
  | { readonly kind: "replay"; readonly use: NonceUse };

/** What the history says of a nonce that this call presents with these arguments. */
export function admitNonce(
  state: SequenceState,
  nonce: string,
  call: CallForm,
  argsDigest: string,
): NonceAdmission {
  const use = state.nonces.get(nonce);
  if (use === undefined) return { kind: "fresh" };
  const same = use.args_digest === argsDigest && isSameCall(use.call, call);
  if (!same) return { kind: "replay", use };
  if (use.root === undefined) {
    return { kind: use.deny_code === "APPROVAL_REQUIRED" ? "approval" : "replay", use };
  }
  const comesBack = use.status === "interrupted" && use.resumed < MAX_RESUMES;
  return comesBack ? { kind: "interrupted", use, root: use.root } : { kind: "replay", use };
}

/** True where a request asks for the call that was recorded: the same tool, or the same function, action type and step. */
export function isSameCall(recorded: CallMembers, call: CallForm): boolean {
  if (call.tool !== undefined) return recorded.tool === call.tool;
  const explicit =
    recorded.tool === undefined &&
    recorded.function === call.function &&
    recorded.action_type === call.action_type;
  return explicit && (call.step === undefined || recorded.step === call.step);
}
