/** What a condition asks and why it does not hold, in words: its text in the policy, the value that did not fit. */
import {
  type CompiledConditions,
  type CompiledPolicy,
  type ConditionReport,
  type Json,
  type JsonObject,
  parseStrictJson,
  type Scope,
} from "@stepgate/core";
import { isObject } from "./reading.ts";

/** One sentence. Arguments are shown in it: whoever explains a request has them. */
export function conditionWords(
  policy: CompiledPolicy,
  report: ConditionReport,
  scope: Scope,
): string {
  const conditions = conditionsWith(policy, report.rule);
  if (conditions === undefined) return report.rule;
  const { member, rest } = splitRule(conditions.path, report.rule);
  const entry = entryOf(policy, conditions.path);
  const holds = report.refusal === undefined;
  switch (member) {
    case "args":
      return schemaWords(conditions, scope.args);
    case "when":
      return celWords(String(entry["when"]), report);
    case "grounded":
      return groundedWords(conditions, rest, entry, scope);
    case "bind":
      return bindWords(entry, rest, scope.args, report);
    case "approval":
      return approvalWords(entry, report, holds);
    default:
      return limitWords(entry, rest, scope.args, report);
  }
}

function conditionsWith(policy: CompiledPolicy, rule: string): CompiledConditions | undefined {
  const all = [...policy.functions.values(), ...policy.tools.values()];
  const found = all.flatMap(({ conditions }) =>
    conditions !== undefined && rule.startsWith(`${conditions.path}.`) ? [conditions] : [],
  );
  // Names may hold dots: the longest is meant.
  return found.sort((a, b) => b.path.length - a.path.length)[0];
}

function splitRule(path: string, rule: string): { readonly member: string; readonly rest: string } {
  const [member = "", ...rest] = rule.slice(path.length + 1).split(".");
  return { member, rest: rest.join(".") };
}

/** The tool or function in the normal form, by the path of its rules. */
function entryOf(policy: CompiledPolicy, path: string): JsonObject {
  const [section = "", ...name] = path.split(".");
  const form = parseStrictJson(policy.normalForm) as Readonly<Record<string, JsonObject>>;
  return (form[section]?.[name.join(".")] ?? {}) as JsonObject;
}

function schemaWords(conditions: CompiledConditions, args: JsonObject): string {
  const path = conditions.args?.(args);
  if (path === undefined) return "the arguments fit the schema";
  const value = valueAt(
    args,
    path.split(/[.[\]]+/).filter((name) => name !== ""),
  );
  return `'args${path === "" ? "" : `.${path}`}' does not fit the schema; it is ${shown(value)}`;
}

function celWords(text: string, { refusal }: ConditionReport): string {
  if (refusal === undefined) return `${text} is true`;
  return refusal.code === "POLICY_ERROR"
    ? `${text} could not be evaluated for these arguments`
    : `${text} is not true`;
}

function groundedWords(
  { grounded }: CompiledConditions,
  path: string,
  entry: JsonObject,
  scope: Scope,
): string {
  const sources = sourceNames(entry["grounded"], path);
  const names = path.split(".");
  const holds = grounded.find((one) => one.path === path)?.holds;
  const value = valueAt(scope.args, names);
  const missing = leavesOf(value).filter(
    (leaf) => holds?.({ ...scope, args: withValue(scope.args, names, leaf) }) !== true,
  );
  if (value === undefined) return `'${path}' is absent`;
  if (holds?.(scope) === true) return `'${path}' occurs in ${sources}`;
  const what = missing.length === 0 ? shown(value) : missing.map(shown).join(", ");
  return `${what} does not occur in ${sources}`;
}

function sourceNames(grounded: Json | undefined, path: string): string {
  const entry = isObject(grounded) ? grounded[path] : undefined;
  const sources = isObject(entry) ? entry["from"] : entry;
  return (Array.isArray(sources) ? sources : [sources])
    .map((source) => (typeof source === "string" ? source : JSON.stringify(source)))
    .join(", ");
}

function bindWords(
  entry: JsonObject,
  name: string,
  args: JsonObject,
  { refusal, bound }: ConditionReport,
): string {
  const bind = entry["bind"];
  const path = isObject(bind) ? String(bind[name]) : name;
  const value = shown(valueAt(args, path.split(".").slice(1)));
  if (refusal === undefined) return `${path} is ${value}${bound ? ", as it was before" : ""}`;
  return bound ? `${path} is ${value}, and was bound to another value before` : `${path} is absent`;
}

function limitWords(
  entry: JsonObject,
  which: string,
  args: JsonObject,
  { limit, refusal }: ConditionReport,
): string {
  const limits = entry["limits"];
  const form = isObject(limits) ? limits[which] : undefined;
  const of = isObject(form) && typeof form["of"] === "string" ? form["of"] : undefined;
  const adds = of === undefined ? "1" : shown(valueAt(args, of.split(".").slice(1)));
  const window =
    isObject(form) && form["per"] !== undefined ? ` by ${form["per"]} in its window` : "";
  const stands =
    limit?.stands === undefined
      ? `what was counted${window} is not told by receipts, and taken as 0`
      : `${limit.stands} counted${window}`;
  return `${stands}, this call adds ${adds}, at most ${limit?.max}${refusal === undefined ? "" : ": too much"}`;
}

function approvalWords(
  entry: JsonObject,
  { approvals, refusal }: ConditionReport,
  holds: boolean,
): string {
  const form = entry["approval"];
  const by = isObject(form) && Array.isArray(form["by"]) ? form["by"].join(", ") : "";
  const when = isObject(form) && typeof form["when"] === "string" ? form["when"] : undefined;
  const { given = 0, needed = 1, rejected = false } = approvals ?? {};
  if (refusal?.code === "POLICY_ERROR") return `${when} could not be evaluated for these arguments`;
  if (holds && given < needed) return `not needed: ${when} is not true`;
  const missing = holds ? "" : `, ${Math.max(needed - given, 0)} missing`;
  return `${given} of ${needed} approvals by ${by}${rejected ? ", and a rejection" : missing}`;
}

/** Scalars and member names, as grounding looks at them. */
function leavesOf(value: Json | undefined): readonly Json[] {
  if (value === undefined) return [];
  if (Array.isArray(value)) return value.flatMap((item: Json) => leavesOf(item));
  if (isObject(value))
    return Object.entries(value).flatMap(([name, member]) => [name, ...leavesOf(member)]);
  return [value];
}

function withValue(
  args: JsonObject,
  [name = "", ...rest]: readonly string[],
  value: Json,
): JsonObject {
  const here = args[name];
  const inner = rest.length === 0 || !isObject(here) ? value : withValue(here, rest, value);
  return { ...args, [name]: inner };
}

function valueAt(args: Json | undefined, path: readonly string[]): Json | undefined {
  let here = args;
  for (const name of path) {
    if (Array.isArray(here)) here = here[Number(name)] as Json | undefined;
    else here = isObject(here) && Object.hasOwn(here, name) ? here[name] : undefined;
  }
  return here;
}

const MOST = 200;

function shown(value: Json | undefined): string {
  if (value === undefined) return "absent";
  const text = JSON.stringify(value);
  return text.length <= MOST ? text : `${text.slice(0, MOST)}…`;
}
