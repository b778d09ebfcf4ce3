/** The signing key of one gate over its life: which one signs now, and how the next one takes its place. */
import { withDeadline } from "./deadline.ts";
import { GateError } from "./errors.ts";
import { proveKey } from "./key-proof.ts";
import { isBarePublicJwk, type KeySet } from "./key-set.ts";
import type { Ledger } from "./ledger.ts";
import { lastOf, type LogState } from "./policy-book.ts";
import { type KeyReceipt, LOG_CHAIN, type Receipt } from "./receipt.ts";
import type { PublishedSigner, Signer } from "./signer.ts";

/** Gives the signer of a key that `@log` says took over from this gate's; `undefined` where it is not at hand. */
export type Successor = (keyId: string) => Signer | undefined | Promise<Signer | undefined>;

/** The key that a gate signs with. */
export interface GateKey {
  /**
   * Signs the next record; `undefined` for a gate with a MAC alone.
   * @throws GateError STORE_UNAVAILABLE once the log says that its key was replaced, and by one that this gate has not got.
   */
  signer(): Signer | undefined;
  /** Goes by what `@log` says: where our key handed over, its successor signs from now on. @throws as `signer`. */
  follow(log: Pick<LogState, "replaced"> | undefined): Promise<void>;
  /** Holds a signer ready for when the log says that it took over. */
  offer(signer: Signer): void;
}

/** What a rotation needs of a gate. */
export interface RotatingGate {
  readonly logId: string;
  readonly log: Ledger<LogState>;
  readonly key: GateKey;
  readonly approvers: KeySet;
  readonly deadlineMs: number;
}

/** A gate's key, which is `first` until the log says otherwise. */
export function createGateKey(first: Signer | undefined, successor: Successor): GateKey {
  const offered = new Map<string, Signer>();
  let current = first;
  let lost: GateError | undefined;

  return {
    signer() {
      if (lost !== undefined) throw lost;
      return current;
    },
    async follow(log) {
      const from = current;
      const next = from && successorOf(from.keyId, log);
      if (next === undefined) return;
      const found = await signerOf(next, (keyId) => offered.get(keyId) ?? successor(keyId));
      // What was given up while it waited must not take back what was taken in since.
      if (current !== from) return;
      lost = GateError.isInstance(found) ? found : undefined;
      if (GateError.isInstance(found)) throw found;
      current = found;
    },
    offer: (signer) => void offered.set(signer.keyId, signer),
  };
}

/** Who signs in place of this key, after however many handovers; `undefined` where it has handed over to nobody. */
function successorOf(
  keyId: string,
  log: Pick<LogState, "replaced"> | undefined,
): string | undefined {
  let last: string | undefined;
  for (let next = log?.replaced.get(keyId); next !== undefined; next = log?.replaced.get(next))
    last = next;
  return last;
}

/** The signer of this key, or why there is none: without it the gate has no right to sign. */
async function signerOf(keyId: string, successor: Successor): Promise<Signer | GateError> {
  try {
    const signer = await successor(keyId);
    if (signer?.keyId === keyId) return signer;
    return unavailable(`the signing key was replaced by ${keyId}, which this gate does not hold`);
  } catch (cause) {
    return unavailable(`the signing key was replaced by ${keyId}, which cannot be had`, cause);
  }
}

function unavailable(message: string, cause?: unknown): GateError {
  return new GateError("STORE_UNAVAILABLE", message, { cause });
}

/**
 * Hands over to `next`: a record of `@log`, signed by the key so far and proven by the next one. Once it stands, every
 * further record of this gate is signed with `next`; what was signed before may still be on its way into other chains.
 *
 * @throws TypeError for what is no signer; GateError KEY_INVALID, INVALID_INPUT, or STORE_UNAVAILABLE, after which the
 *   key may have been replaced nevertheless: the gate goes by its log, and the same call may be made again.
 */
export async function rotateKey(gate: RotatingGate, next: PublishedSigner): Promise<KeyReceipt> {
  mustBeSuccessor(gate, next);
  const draft = await withDeadline(gate.deadlineMs, () => proveKey(gate.logId, next));
  gate.key.offer(next);
  const made = await gate.log.transact(
    LOG_CHAIN,
    async (log) => {
      await gate.key.follow(log);
      const current = gate.key.signer();
      if (current === undefined)
        throw new GateError("INVALID_INPUT", "this gate signs nothing: there is no key to rotate");
      return {
        drafts: current.keyId === next.keyId ? [] : [draft],
        async answer([receipt], after) {
          await gate.key.follow(after);
          return receipt as KeyReceipt | undefined;
        },
      };
    },
    { fresh: true },
  );
  return made ?? lastOf(gate.log, handsOverTo(next.keyId), `a handover to key ${next.keyId}`);
}

function mustBeSuccessor({ approvers }: RotatingGate, next: PublishedSigner): void {
  const { keyId, publicJwk, sign } = next;
  const { kty, crv, x, kid } = publicJwk ?? {};
  if (typeof sign !== "function" || kid !== keyId || !isBarePublicJwk({ kty, crv, x, kid }))
    throw new TypeError(
      "rotateKey: a signer needs sign, its publicJwk, and as keyId its thumbprint",
    );
  if (approvers.has(keyId))
    throw new GateError("KEY_INVALID", `key ${keyId} is an approver's: a gate approves nothing`);
}

function handsOverTo(keyId: string): (receipt: Receipt) => receipt is KeyReceipt {
  return (receipt): receipt is KeyReceipt =>
    receipt.kind === "key" && receipt.new_key.kid === keyId;
}
