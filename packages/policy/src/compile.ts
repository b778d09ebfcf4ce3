/** A checked contract to the tables that the gate decides by. */
import {
  type Automaton,
  canonicalize,
  type CompiledAgents,
  type CompiledConstraint,
  type CompiledForbid,
  type CompiledFunction,
  type CompiledPolicy,
  type CompiledTool,
  sha256Hex,
} from "@stepgate/core/compiler";
import { matchesPattern } from "./agent-pattern.ts";
import { argumentDefaults } from "./argument-defaults.ts";
import { sortedEntries } from "./code-unit-order.ts";
import { compileConditions, type ConditionPlace } from "./compile-conditions.ts";
import type { ConditionCompiler } from "./condition-compiler.ts";
import {
  DEFAULT_FRESHNESS_MS,
  DEFAULT_LIFETIME_MS,
  type NormalConstraint,
  type NormalForbid,
  type NormalForm,
} from "./normal-form.ts";
import { callSelector } from "./selector.ts";

/** Builds the compiled policy from the normal form alone: so equal digests decide alike. */
export function compile(
  form: NormalForm,
  order: { readonly steps: readonly string[]; readonly automaton: Automaton },
  compiler: ConditionCompiler,
): CompiledPolicy {
  const text = canonicalize(form);
  const toolPairs = pairsOf(form);
  const defaults = argumentDefaults(form, toolPairs);
  const place = (section: "functions" | "tools", name: string): ConditionPlace => ({
    path: `${section}.${name}`,
    defaultOf: (path) => defaults(section, name, path),
    compiler,
  });
  return Object.freeze({
    id: form.id,
    version: form.version,
    digest: policyDigest(text),
    normalForm: text,
    ...order,
    functions: compileFunctions(form, order.steps, place),
    tools: compileTools(form, place),
    constraints: (form.constraints ?? []).map(compileConstraint),
    forbid: (form.forbid ?? []).map(compileForbid),
    ...(form.agents && { agents: sortedEntries(form.agents).map(compileAgents) }),
    sealOn: new Set(form.sealOn),
    freshnessMs: form.freshness ?? DEFAULT_FRESHNESS_MS,
    lifetimeMs: form.lifetime ?? DEFAULT_LIFETIME_MS,
    toolPairs,
  });
}

/** The identity of a contract: `sha256:` and 64 hex digits over the canonical text of its normal form. */
function policyDigest(normalFormText: string): string {
  return `sha256:${sha256Hex(`stepgate.policy/1\n${normalFormText}`)}`;
}

function pairsOf({ tools }: NormalForm): ReadonlySet<string> {
  return new Set(
    sortedEntries(tools).flatMap(([, tool]) =>
      [tool.function].flat().map((name) => `${name}\n${tool.action}`),
    ),
  );
}

type PlaceOf = (section: "functions" | "tools", name: string) => ConditionPlace;

function compileFunctions(
  form: NormalForm,
  steps: readonly string[],
  placeOf: PlaceOf,
): ReadonlyMap<string, CompiledFunction> {
  const numbers = new Map(steps.map((step, index) => [step, index]));
  return new Map(
    sortedEntries(form.functions).map(([name, entry]) => {
      const { actions, audience, step = name } = entry;
      const stepIndex = numbers.get(step) ?? -1;
      const conditions = compileConditions(entry, placeOf("functions", name));
      return [
        name,
        {
          name,
          ...(stepIndex !== -1 && { step }),
          stepIndex,
          actions: new Set(actions),
          ...(audience !== undefined && { audience }),
          ...(conditions && { conditions }),
        },
      ];
    }),
  );
}

function compileTools(form: NormalForm, placeOf: PlaceOf): ReadonlyMap<string, CompiledTool> {
  return new Map(
    sortedEntries(form.tools).map(([name, tool]) => {
      const conditions = compileConditions(tool, placeOf("tools", name));
      return [
        name,
        {
          name,
          functions: [tool.function].flat(),
          action: tool.action,
          ...(tool.audience !== undefined && { audience: tool.audience }),
          ...(conditions && { conditions }),
        },
      ];
    }),
  );
}

function compileConstraint({ never, precedence }: NormalConstraint): CompiledConstraint {
  const [first, second] = never ?? precedence ?? [{}, {}];
  return {
    kind: never === undefined ? "precedence" : "never",
    first: callSelector(first),
    second: callSelector(second),
  };
}

function compileForbid({ actions, agents, functions, steps, tools }: NormalForbid): CompiledForbid {
  return {
    ...(actions && { actions: new Set(actions) }),
    ...(functions && { functions: new Set(functions) }),
    ...(steps && { steps: new Set(steps) }),
    ...(tools && { tools: new Set(tools) }),
    ...(agents && {
      agents: (agentId: string) => agents.some((pattern) => matchesPattern(pattern, agentId)),
    }),
  };
}

function compileAgents([pattern, { functions }]: readonly [
  string,
  NonNullable<NormalForm["agents"]>[string],
]): CompiledAgents {
  return {
    pattern,
    matches: (agentId) => matchesPattern(pattern, agentId),
    functions: new Map(
      sortedEntries(functions).map(([name, { actions }]) => [name, new Set(actions)]),
    ),
  };
}
