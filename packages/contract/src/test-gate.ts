/** A real gate for tests: memory store, fresh keys, a clock that the test may hold. Nothing in it is a mock. */
import { randomBytes } from "node:crypto";
import {
  type CompiledPolicy,
  createGate,
  type Gate,
  type GateParts,
  generateSigningKey,
  LOG_CHAIN,
  memoryStore,
  type Receipt,
  type SigningKey,
  type Store,
} from "@stepgate/core";
import { compilePolicy } from "@stepgate/policy";

/** A gate, and what a test looks at. */
export interface TestGate {
  readonly gate: Gate;
  readonly store: Store;
  readonly key: SigningKey;
  readonly policy: CompiledPolicy;
  /** The chain of a sequence, read from the store. */
  receipts(sequenceId: string): Promise<readonly Receipt[]>;
}

/** Parts of the gate to set otherwise; `wrapStore` puts a faulty or slow store around the real one. */
export type TestGateOptions = Partial<Omit<GateParts, "policies">> & {
  readonly wrapStore?: (store: Store) => Store;
};

/** Opens a gate on a policy document (compiled here) or a compiled policy. */
export async function openTestGate(
  policy: unknown,
  options: TestGateOptions = {},
): Promise<TestGate> {
  const { wrapStore = (store: Store): Store => store, ...parts } = options;
  const compiled = isCompiled(policy) ? policy : compilePolicy(policy);
  const store = wrapStore(options.store ?? memoryStore());
  const key = generateSigningKey();
  const gate = await createGate({
    saltKey: randomBytes(32),
    signer: key,
    ...parts,
    policies: [compiled],
    store,
  });
  return {
    gate,
    store,
    key,
    policy: compiled,
    receipts: (sequenceId) => Array.fromAsync(gate.receipts(sequenceId)),
  };
}

/** The store, once a gate stands on it, failing every append to a sequence; the chain `@log` is written all the same. */
export function failAppends(store: Store, cause: Error): Store {
  return {
    ...store,
    append: (append) =>
      append.sequence_id === LOG_CHAIN ? store.append(append) : Promise.reject(cause),
  };
}

/** Every line of sequences in the order of the log: all but the chain `@log`, which tells the policies. */
export async function sequenceLines(store: Store): Promise<readonly string[]> {
  const lines = await Array.fromAsync(store.lines());
  return lines.filter((line) => !line.includes(`"sequence_id":"${LOG_CHAIN}"`));
}

function isCompiled(policy: unknown): policy is CompiledPolicy {
  return typeof policy === "object" && policy !== null && "automaton" in policy;
}
