/** What a compiler makes of a policy's text, as text: everything that it found, and what the compiled policy is and decides by. */
import type { CompiledConditions, CompiledPolicy, JsonObject, Scope } from "@stepgate/core";
import type { PolicyCheck } from "@stepgate/policy";

/** A policy, and calls that its conditions are tried on. */
export interface PolicyCase {
  readonly name: string;
  readonly text: string;
  readonly scopes: readonly Scope[];
}

/** What compiles: `@stepgate/policy`, or `@stepgate/policy/compile` wherever it runs. */
export interface CompilerApi {
  checkPolicy(text: string, options: { readonly file: string }): PolicyCheck;
}

/** The answer to a case. */
export function policyAnswer({ checkPolicy }: CompilerApi, one: PolicyCase): string {
  const { policy, ...check } = checkPolicy(one.text, { file: one.name });
  if (policy === undefined) return JSON.stringify(check);
  return JSON.stringify({ ...check, ...plain(policy), holds: one.scopes.map(conditions(policy)) });
}

/** All of it but its functions. */
function plain(policy: CompiledPolicy): Readonly<Record<string, unknown>> {
  return JSON.parse(
    JSON.stringify(policy, (_, value: unknown) => (isMany(value) ? [...value] : value)),
  );
}

function isMany(value: unknown): value is Iterable<unknown> {
  return [Map, Set, Int32Array, Uint8Array].some((type) => value instanceof type);
}

/** What each condition says of a call. */
function conditions({ functions, tools }: CompiledPolicy): (scope: Scope) => readonly unknown[] {
  const all = [...functions.values(), ...tools.values()].flatMap((entry) => entry.conditions ?? []);
  return (scope) => all.map((one) => condition(one, scope));
}

function condition(
  { path, args, when, grounded, approval }: CompiledConditions,
  scope: Scope,
): readonly unknown[] {
  return [
    path,
    args?.(scope.args as JsonObject) ?? "fits",
    when?.(scope) ?? "none",
    ...grounded.map(({ holds }) => holds(scope)),
    approval?.when?.(scope) ?? "none",
  ];
}
