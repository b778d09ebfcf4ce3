/** A gate for a person's act on one sequence of a store: it opens no sequence and makes no policy active. */
import {
  type CompiledPolicy,
  createGate,
  GateError,
  type KeySet,
  type LocalGate,
  type OpenReceipt,
  type Store,
} from "@stepgate/core";
import { parsePolicy } from "@stepgate/policy";
import { approversOf } from "./approver-keys.ts";
import { openKeyFolder, readPublicKeys } from "./key-folder.ts";
import { readPolicyFile } from "./policy-file.ts";
import { shownStore } from "./store-url.ts";

/** Where a person acts. */
export interface ActingPlace {
  readonly sequence: string;
  /** The store's URL, as messages name it. */
  readonly url: string;
  /** The gate's folder of keys, which must be there: keys made on the spot would be known to no auditor. */
  readonly keys: string;
  /** A policy file, for a store that does not hold the sequence's policy. */
  readonly policy?: string | undefined;
  /** A file with the people whose acts count, where the act is one of theirs. */
  readonly approvers?: string;
}

/** The gate, the record that opened the sequence, the policy that it is pinned to, and the people who count. */
export interface Acting {
  readonly gate: LocalGate;
  readonly opened: OpenReceipt;
  readonly policy: CompiledPolicy;
  readonly approvers: KeySet;
}

/**
 * Opens the gate. The store stays its caller's to close.
 *
 * @throws GateError NOT_OPENED without such a sequence, POLICY_INVALID without its policy; else as `openGate`.
 */
export async function openActingGate(store: Store, place: ActingPlace): Promise<Acting> {
  const { sequence, url, keys } = place;
  await readPublicKeys(keys);
  const [first] = await store.read(sequence, 0, 1);
  if (first === undefined)
    throw new GateError("NOT_OPENED", `${shownStore(url)}: there is no sequence '${sequence}'`);
  // The store's own record; the gate checks the chain when it folds it.
  const opened = JSON.parse(first) as OpenReceipt;
  const policy = await pinnedPolicy(store, opened, place.policy);
  const own = await openKeyFolder(keys, Date.now());
  const approvers =
    (await approversOf(place.approvers, undefined, own.signer.keyId)) ?? new Map<string, never>();
  const gate = await createGate({
    ...own,
    policies: [],
    earlier: [policy],
    store,
    mode: opened.mode,
    approvers,
  });
  return { gate, opened, policy, approvers };
}

/** The policy that the sequence is pinned to: from its normal form in the store, or from the file. */
async function pinnedPolicy(
  store: Store,
  { policy_id, policy_digest }: OpenReceipt,
  file: string | undefined,
): Promise<CompiledPolicy> {
  const policy =
    file === undefined
      ? keptPolicy(policy_digest, await store.document(policy_digest))
      : (await readPolicyFile(file)).policy;
  if (policy?.digest === policy_digest) return policy;
  const fault =
    file === undefined
      ? `the store does not hold policy '${policy_id}' (${policy_digest}); name it with --policy`
      : `${file}: is not the policy '${policy_id}' (${policy_digest}) of the sequence`;
  throw new GateError("POLICY_INVALID", fault);
}

function keptPolicy(digest: string, text: string | undefined): CompiledPolicy | undefined {
  return text === undefined ? undefined : parsePolicy(text, { file: digest });
}
