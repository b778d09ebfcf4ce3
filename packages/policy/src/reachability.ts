/** What a policy can and cannot do, answered exactly on its finite automaton: completion, sealing, dead ends, what is never used. */
import { hash } from "node:crypto";
import type { CompiledPolicy } from "@stepgate/core";

/** The answers; each list of names is in the policy's order. */
export interface Reachability {
  readonly canComplete: boolean;
  readonly canSeal: boolean;
  /** Steps of a shortest way to a state from which the order cannot be completed. */
  readonly deadEnd?: readonly string[];
  readonly unreachableSteps: readonly string[];
  readonly unusedFunctions: readonly string[];
}

/** Walks every state that ALLOWs can lead to, with the calls that the gate would allow there. */
export function explore(policy: CompiledPolicy): Reachability {
  const walk: Walk = {
    policy,
    calls: callsOf(policy),
    exits: new Map(),
    parents: new Map([[0, undefined]]),
    used: new Set(),
    passed: new Set(),
  };
  // A map iterates over what is added meanwhile: a breadth-first walk.
  for (const state of walk.parents.keys()) visit(state, walk);
  const completable = completableStates(walk);
  const stuck = [...walk.parents.keys()].find((state) => !completable.has(state));
  return {
    canComplete: completable.has(0),
    canSeal: [...walk.exits.values()].some(({ seals }) => seals),
    ...(stuck !== undefined && { deadEnd: traceTo(stuck, walk) }),
    unreachableSteps: policy.steps.filter((_, index) => !walk.passed.has(index)),
    unusedFunctions: [...policy.functions.keys()].filter((name) => !walk.used.has(name)),
  };
}

/** A call that someone can make: an action type, and the functions that it may stand for, in order. */
interface Call {
  readonly functions: readonly string[];
  readonly sealing: boolean;
}

/** Calls that differ in nothing that matters here are one; those of one step alone need a look only where that step is next. */
interface Calls {
  readonly ofStep: ReadonlyMap<number, readonly Call[]>;
  readonly others: readonly Call[];
}

/** What can happen in a state. States with equal rows share it: there may be thousands. */
interface Exits {
  readonly states: number[];
  /** The states that ALLOWs lead to, and a step that leads there. */
  readonly targets: Map<number, number>;
  /** Some ALLOW seals here. */
  seals: boolean;
}

interface Walk {
  readonly policy: CompiledPolicy;
  readonly calls: Calls;
  /** By the state's row and whether it is accepting. */
  readonly exits: Map<string, Exits>;
  /** For each state that was reached, the state and step before it. */
  readonly parents: Map<number, { readonly state: number; readonly step: number } | undefined>;
  readonly used: Set<string>;
  readonly passed: Set<number>;
}

function callsOf(policy: CompiledPolicy): Calls {
  const calls = new Map<string, Call>();
  const add = (functions: readonly string[], action: string): void => {
    const permitting = functions.filter((name) => policy.functions.get(name)?.actions.has(action));
    const call = { functions: permitting, sealing: policy.sealOn.has(action) };
    if (permitting.length > 0) calls.set(`${call.sealing} ${permitting.join(" ")}`, call);
  };
  for (const { name, actions } of policy.functions.values()) {
    for (const action of actions)
      if (!policy.toolPairs.has(`${name}\n${action}`)) add([name], action);
  }
  for (const tool of policy.tools.values()) add(tool.functions, tool.action);
  const byStep = Map.groupBy(calls.values(), ({ functions: [first = "", second] }) => {
    return second === undefined ? (policy.functions.get(first)?.stepIndex ?? -1) : -1;
  });
  return { ofStep: byStep, others: byStep.get(-1) ?? [] };
}

function visit(state: number, walk: Walk): void {
  const { automaton, steps } = walk.policy;
  const row = automaton.next.subarray(state * steps.length, (state + 1) * steps.length);
  const key = `${automaton.accepting[state]} ${hash("sha256", row, "base64")}`;
  const known = walk.exits.get(key);
  if (known !== undefined) {
    known.states.push(state);
    return;
  }
  const exits: Exits = { states: [state], targets: new Map(), seals: false };
  walk.exits.set(key, exits);
  for (const call of walk.calls.others) make(call, state, exits, walk);
  for (const [step, target] of row.entries())
    if (target !== -1)
      for (const call of walk.calls.ofStep.get(step) ?? []) make(call, state, exits, walk);
  for (const [target, step] of exits.targets)
    if (!walk.parents.has(target)) walk.parents.set(target, { state, step });
}

/** Makes one call in one state: the first of its functions that is admissible stands. */
function make(call: Call, state: number, exits: Exits, walk: Walk): void {
  const { automaton, functions, steps } = walk.policy;
  for (const name of call.functions) {
    const step = functions.get(name)?.stepIndex ?? -1;
    const target = step === -1 ? state : (automaton.next[state * steps.length + step] ?? -1);
    if (target === -1 || (call.sealing && automaton.accepting[target] !== 1)) continue;
    walk.used.add(name);
    if (step !== -1) walk.passed.add(step);
    if (call.sealing || (step !== -1 && isNaturalEnd(target, walk.policy))) exits.seals = true;
    else if (step !== -1) exits.targets.set(target, step);
    return;
  }
}

function isNaturalEnd(state: number, { automaton, steps }: CompiledPolicy): boolean {
  if (automaton.accepting[state] !== 1) return false;
  for (let step = 0; step < steps.length; step++)
    if (automaton.next[state * steps.length + step] !== -1) return false;
  return true;
}

/** States from which an accepting state, or a seal, can still be reached: backwards from those. */
function completableStates({ policy, exits, parents }: Walk): ReadonlySet<number> {
  const before = new Map<number, Exits[]>([...parents.keys()].map((state) => [state, []]));
  for (const exit of exits.values())
    for (const target of exit.targets.keys()) before.get(target)?.push(exit);
  const found = new Set(
    [...exits.values()].filter(({ seals }) => seals).flatMap(({ states }) => states),
  );
  for (const state of parents.keys()) if (policy.automaton.accepting[state] === 1) found.add(state);
  const done = new Set<Exits>();
  for (const state of found) {
    for (const exit of before.get(state) ?? []) {
      if (done.has(exit)) continue;
      done.add(exit);
      for (const from of exit.states) found.add(from);
    }
  }
  return found;
}

function traceTo(state: number, { policy, parents }: Walk): readonly string[] {
  const trace: string[] = [];
  for (let parent = parents.get(state); parent !== undefined; parent = parents.get(parent.state))
    trace.push(policy.steps[parent.step] ?? "");
  return trace.toReversed();
}
