/** The shape that `@stepgate/policy` produces and the gate decides by: tables only, nothing left to parse. */
import type { JsonObject } from "./canonical-json.ts";

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

/** What a condition is evaluated over. Absent identifiers are `""`. */
export interface Scope {
  readonly args: JsonObject;
  readonly context: JsonObject;
  readonly agent_id: string;
  readonly tenant: string;
}

/** A condition of the policy. Whatever is not exactly `true` does not hold; `"error"`: it could not be evaluated. */
export type Condition = (scope: Scope) => boolean | "error";

/** How much of something is allowed: in a sequence, or by an agent or tenant in a fixed window of the gate's clock. */
export interface CompiledLimit {
  /** An exact decimal from 0 on, as `toDecimal` spells it. */
  readonly max: string;
  readonly per?: "agent" | "tenant";
  /** Milliseconds; there exactly where `per` is. */
  readonly windowMs?: number;
}

/** What may stand on a tool or on a function; both apply, the function's first. */
export interface CompiledConditions {
  /** How rules begin: `tools.transfer_funds` or `functions.execution`. */
  readonly path: string;
  /** The JSON Schema: `undefined` where the arguments fit, else the path of the first that does not. */
  readonly args?: (args: JsonObject) => string | undefined;
  readonly when?: Condition;
  /** Each argument that must occur in a trusted source, by its dotted path under `args`. */
  readonly grounded: readonly { readonly path: string; readonly holds: Condition }[];
  /** Names whose value stays the same in every call that binds them: the path of the argument. */
  readonly bind: readonly { readonly name: string; readonly of: readonly string[] }[];
  readonly calls?: CompiledLimit;
  readonly sum?: CompiledLimit & { readonly of: readonly string[] };
  readonly approval?: {
    readonly when?: Condition;
    readonly count: number;
    readonly by: ReadonlySet<string>;
  };
}

/** Picks calls by one of their members. */
export interface CallSelector {
  readonly member: "function" | "step" | "action_type" | "tool";
  readonly name: string;
}

/** Beside the order: `precedence`, the second only after the first; `never`, the second no more after the first. */
export interface CompiledConstraint {
  readonly kind: "precedence" | "never";
  readonly first: CallSelector;
  readonly second: CallSelector;
}

/** Wins over everything; all selectors that are given must match. */
export interface CompiledForbid {
  readonly actions?: ReadonlySet<string>;
  readonly functions?: ReadonlySet<string>;
  readonly steps?: ReadonlySet<string>;
  readonly tools?: ReadonlySet<string>;
  /** Whether some pattern matches an agent. */
  readonly agents?: (agentId: string) => boolean;
}

/** What agents of a name may do at most. Functions that are not listed keep their list; an empty set forbids. */
export interface CompiledAgents {
  readonly pattern: string;
  matches(agentId: string): boolean;
  readonly functions: ReadonlyMap<string, ReadonlySet<string>>;
}

/** One function of the contract. */
export interface CompiledFunction {
  readonly name: string;
  /** The step it belongs to; absent for `step: "*"`, a function outside the order. */
  readonly step?: string;
  /** The number of that step in the automaton; -1 for `step: "*"`. */
  readonly stepIndex: number;
  readonly actions: ReadonlySet<string>;
  readonly audience?: string;
  readonly conditions?: CompiledConditions;
}

/** What one tool of the host stands for: the gate decides this, never the model. */
export interface CompiledTool {
  readonly name: string;
  /** In the order of the policy: the first that passes checks 4 to 6 stands; if none does, the first. Never empty. */
  readonly functions: readonly string[];
  readonly action: string;
  readonly audience?: string;
  readonly conditions?: CompiledConditions;
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
  readonly constraints: readonly CompiledConstraint[];
  readonly forbid: readonly CompiledForbid[];
  /** In code-unit order of their patterns. Where there are some, an agent that none matches may do nothing. */
  readonly agents?: readonly CompiledAgents[];
  /** Action types whose ALLOW seals the sequence. */
  readonly sealOn: ReadonlySet<string>;
  /** How far the caller's clock may be from the gate's, in milliseconds. */
  readonly freshnessMs: number;
  /** How long a sequence may live after its opening, in milliseconds. */
  readonly lifetimeMs: number;
  /** `functionName + "\n" + actionType` of every pair that some tool stands for: requested in the tool form only. */
  readonly toolPairs: ReadonlySet<string>;
}

/** True for what a compiler made; a document, or nothing, is no policy to decide by. */
export function isCompiledPolicy(policy: unknown): policy is CompiledPolicy {
  const { automaton } = (policy ?? {}) as Partial<CompiledPolicy>;
  return automaton?.next instanceof Int32Array;
}
