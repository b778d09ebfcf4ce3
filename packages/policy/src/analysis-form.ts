/** Reads from a policy's normal form what its compiled tables no longer show: the text of conditions, the patterns of `forbid`. */
import {
  type CompiledConditions,
  type CompiledPolicy,
  parseStrictJson,
} from "@stepgate/core/compiler";

/** What arguments decide about a call: each rule that can refuse it, with the text it was written as. */
export type ConditionTexts = ReadonlyMap<string, string>;

/** The normal form as a plain value; an empty one where there is none. */
export function readForm({ normalForm }: CompiledPolicy): unknown {
  return normalForm === "" ? {} : parseStrictJson(normalForm);
}

/** The patterns of one item of `forbid`. */
export function forbiddenAgents(form: unknown, index: number): readonly string[] {
  const list = at(form, ["forbid", index, "agents"]);
  return Array.isArray(list) ? list.filter((pattern) => typeof pattern === "string") : [];
}

/**
 * The conditions of a tool or function whose outcome arguments, time, other sequences or people decide. Limits on calls
 * of one sequence are not among them.
 */
export function conditionTexts(
  form: unknown,
  path: readonly [section: "functions" | "tools", name: string],
  conditions: CompiledConditions | undefined,
): ConditionTexts {
  if (conditions === undefined) return new Map();
  const { args, when, grounded, bind, calls, sum, approval } = conditions;
  const rules = [
    ...(args === undefined ? [] : ["args"]),
    ...(when === undefined ? [] : ["when"]),
    ...(grounded.length === 0 ? [] : ["grounded"]),
    ...(bind.length === 0 ? [] : ["bind"]),
    ...(calls?.per === undefined ? [] : ["limits.calls"]),
    ...(sum === undefined ? [] : ["limits.sum"]),
    ...(approval === undefined ? [] : ["approval"]),
  ];
  return new Map(
    rules.map((rule) => [
      `${path.join(".")}.${rule}`,
      JSON.stringify(at(form, [...path, ...rule.split(".")])) ?? "",
    ]),
  );
}

/** A member of a plain value, own members only. */
function at(value: unknown, path: readonly (string | number)[]): unknown {
  let here = value;
  for (const key of path) {
    if (typeof here !== "object" || here === null || !Object.hasOwn(here, key)) return undefined;
    here = Reflect.get(here, key);
  }
  return here;
}
