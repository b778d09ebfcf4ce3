/** A checked contract to the tables that the gate decides by. */
import { createHash } from "node:crypto";
import {
  type Automaton,
  canonicalize,
  type CompiledFunction,
  type CompiledPolicy,
  type CompiledTool,
} from "@stepgate/core";
import { DEFAULT_FRESHNESS_MS, DEFAULT_LIFETIME_MS, type NormalForm } from "./normal-form.ts";

/** Builds the compiled policy from the normal form alone: so equal digests decide alike. */
export function compile(
  form: NormalForm,
  steps: readonly string[],
  automaton: Automaton,
): CompiledPolicy {
  const text = canonicalize(form);
  const tools = compileTools(form);
  return Object.freeze({
    id: form.id,
    version: form.version,
    digest: policyDigest(text),
    normalForm: text,
    steps,
    automaton,
    functions: compileFunctions(form, steps),
    tools,
    constraints: [],
    forbid: [],
    sealOn: new Set(form.sealOn),
    freshnessMs: form.freshness ?? DEFAULT_FRESHNESS_MS,
    lifetimeMs: form.lifetime ?? DEFAULT_LIFETIME_MS,
    toolPairs: new Set(
      [...tools.values()].flatMap((tool) =>
        tool.functions.map((name) => `${name}\n${tool.action}`),
      ),
    ),
  });
}

/** The identity of a contract: `sha256:` and 64 hex digits over the canonical text of its normal form. */
function policyDigest(normalFormText: string): string {
  return `sha256:${createHash("sha256").update(`stepgate.policy/1\n${normalFormText}`).digest("hex")}`;
}

function compileFunctions(
  form: NormalForm,
  steps: readonly string[],
): ReadonlyMap<string, CompiledFunction> {
  const numbers = new Map(steps.map((step, index) => [step, index]));
  return new Map(
    Object.entries(form.functions).map(([name, { actions, step = name }]) => {
      const stepIndex = numbers.get(step) ?? -1;
      return [
        name,
        stepIndex === -1
          ? { name, stepIndex, actions: new Set(actions) }
          : { name, step, stepIndex, actions: new Set(actions) },
      ];
    }),
  );
}

function compileTools(form: NormalForm): ReadonlyMap<string, CompiledTool> {
  return new Map(
    Object.entries(form.tools ?? {}).map(([name, tool]) => [
      name,
      {
        name,
        functions: [tool.function].flat(),
        action: tool.action,
        ...(tool.audience !== undefined && { audience: tool.audience }),
      },
    ]),
  );
}
