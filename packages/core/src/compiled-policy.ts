/** The shape that `@stepgate/policy` produces and the gate decides by: tables only, nothing left to parse. */

/**
 * The step order as a deterministic automaton. States are numbered from 0, the start; steps are numbered by
 * {@link CompiledPolicy.steps}. One look-up a step, however long the history.
 */
export interface Automaton {
  readonly states: number;
  /** `next[state * stepCount + step]` is the state that follows, or -1 where the step is not admissible. */
  readonly next: Int32Array;
  /** 1 for a state in which the order is complete. */
  readonly accepting: Uint8Array;
}

/** One function of the contract. */
export interface CompiledFunction {
  readonly name: string;
  /** The step it belongs to; absent for `step: "*"`, a function outside the order. */
  readonly step?: string;
  /** The number of that step in the automaton; -1 for `step: "*"`. */
  readonly stepIndex: number;
  readonly actions: ReadonlySet<string>;
}

/** What one tool of the host stands for: the gate decides this, never the model. */
export interface CompiledTool {
  readonly name: string;
  /** In the order of the policy: the first that passes checks 4 to 6 stands; if none does, the first. Never empty. */
  readonly functions: readonly string[];
  readonly action: string;
  readonly audience?: string;
}

/** A policy that was parsed and checked. Build one with `@stepgate/policy`; never by hand in production. */
export interface CompiledPolicy {
  readonly id: string;
  readonly version: string;
  /** `sha256:` and 64 hex digits over the normal form: the identity of the contract (policy.md, Identity). */
  readonly digest: string;
  /** The RFC 8785 text of the normal form, which the store keeps under the digest. */
  readonly normalForm: string;
  /** Step names in order of first appearance; the index is the automaton's step number. */
  readonly steps: readonly string[];
  readonly automaton: Automaton;
  readonly functions: ReadonlyMap<string, CompiledFunction>;
  readonly tools: ReadonlyMap<string, CompiledTool>;
  /** Action types whose ALLOW seals the sequence. */
  readonly sealOn: ReadonlySet<string>;
  /** How far the caller's clock may be from the gate's, in milliseconds. */
  readonly freshnessMs: number;
  /** How long a sequence may live after its opening, in milliseconds. */
  readonly lifetimeMs: number;
  /** `functionName + "\n" + actionType` of every pair that some tool stands for: requested in the tool form only. */
  readonly toolPairs: ReadonlySet<string>;
}
