/** Compiled policies whose conditions a test plants by hand: ones that throw, or give what no compiler would let through. */
import type { CompiledConditions, CompiledPolicy } from "../src/index.ts";

/** Conditions by the name of their tool or function; what is not planted is empty. */
export interface Planting {
  readonly tools?: Readonly<Record<string, Partial<CompiledConditions>>>;
  readonly functions?: Readonly<Record<string, Partial<CompiledConditions>>>;
}

/** The policy with these conditions in place of its own. Its digest stays: no test here looks at what is kept under it. */
export function plant(
  policy: CompiledPolicy,
  { tools = {}, functions = {} }: Planting,
): CompiledPolicy {
  return {
    ...policy,
    functions: planted("functions", policy.functions, functions),
    tools: planted("tools", policy.tools, tools),
  };
}

function planted<T extends object>(
  section: string,
  entries: ReadonlyMap<string, T>,
  by: Readonly<Record<string, Partial<CompiledConditions>>>,
): ReadonlyMap<string, T> {
  return new Map(
    [...entries].map(([name, entry]) => {
      const conditions = by[name];
      if (conditions === undefined) return [name, entry];
      const whole = { path: `${section}.${name}`, grounded: [], bind: [], ...conditions };
      return [name, { ...entry, conditions: whole }];
    }),
  );
}
