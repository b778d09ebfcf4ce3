/** Walks the step order: which steps are admissible, where an ALLOW leads, and whether it ends the sequence. */
import type { CompiledFunction, CompiledPolicy } from "./compiled-policy.ts";

/** The state that a step leads to, or -1 where it is not admissible. One table look-up. */
function nextState(policy: CompiledPolicy, state: number, step: number): number {
  return policy.automaton.next[state * policy.steps.length + step] ?? -1;
}

/** Where an ALLOW of this function leads: a `step: "*"` function stays where it is. -1: not admissible. */
export function stateAfter(policy: CompiledPolicy, state: number, fn: CompiledFunction): number {
  return fn.stepIndex < 0 ? state : nextState(policy, state, fn.stepIndex);
}

/** True where the order is complete. */
export function isAccepting(policy: CompiledPolicy, state: number): boolean {
  return policy.automaton.accepting[state] === 1;
}

/** True for an accepting state that no step leaves: the ALLOW that reaches it seals. */
export function isNaturalEnd(policy: CompiledPolicy, state: number): boolean {
  if (!isAccepting(policy, state)) return false;
  for (let step = 0; step < policy.steps.length; step++)
    if (nextState(policy, state, step) >= 0) return false;
  return true;
}

/** Steps that may come now, in the order of the policy: none once the sequence is sealed. */
export function stepsAfter(
  policy: CompiledPolicy,
  state: { readonly position: number; readonly sealed?: unknown },
): readonly string[] {
  return state.sealed === undefined ? admissibleSteps(policy, state.position) : [];
}

/** Every answer names them, and they are the same whenever the order stands where it stands. */
function admissibleSteps(policy: CompiledPolicy, state: number): readonly string[] {
  const known = admissible.get(policy) ?? [];
  admissible.set(policy, known);
  return (known[state] ??= Object.freeze(
    policy.steps.filter((_, step) => nextState(policy, state, step) >= 0),
  ));
}

const admissible = new WeakMap<CompiledPolicy, (readonly string[])[]>();
