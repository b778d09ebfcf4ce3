/** The transitions of a policy's order that some call can take. */
import type { CompiledFunction, CompiledPolicy } from "@stepgate/core/compiler";

/** A step that is admissible in a state, after a shortest run. */
interface Transition {
  readonly state: number;
  readonly step: number;
  /** The steps of a shortest way to the state. */
  readonly before: readonly string[];
}

/**
 * Every transition by which an ALLOW can leave a state that ALLOWs lead to: none behind a seal, none of a step whose
 * functions permit nothing. Constraints and conditions, which may rule out more, are not looked at.
 */
export function transitionsOf(policy: CompiledPolicy): readonly Transition[] {
  const { automaton, steps } = policy;
  const byStep = Map.groupBy(policy.functions.values(), ({ stepIndex }) => stepIndex);
  const ways = new Map<number, readonly string[]>([[0, []]]);
  const found: Transition[] = [];
  // A map iterates over what is added meanwhile: a breadth-first walk, so that each way is a shortest one.
  for (const [state, before] of ways)
    for (const [step, name] of steps.entries()) {
      const next = automaton.next[state * steps.length + step] ?? -1;
      const actions = next < 0 ? [] : takenBy(policy, byStep.get(step) ?? [], next);
      if (actions.length === 0) continue;
      found.push({ state, step, before });
      const goesOn = actions.some((action) => !policy.sealOn.has(action));
      if (goesOn && !ways.has(next)) ways.set(next, [...before, name]);
    }
  return found;
}

/** The action types by which the step can be taken: one that seals only into an accepting state. */
function takenBy(
  policy: CompiledPolicy,
  functions: readonly CompiledFunction[],
  next: number,
): readonly string[] {
  return functions
    .flatMap(({ actions }) => [...actions])
    .filter((action) => !policy.sealOn.has(action) || policy.automaton.accepting[next] === 1);
}
