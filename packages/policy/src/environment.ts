/** Level 0: a policy from two environment variables, the order and the action map. */
import { type CompiledPolicy, JsonError, parseStrictJson } from "@stepgate/core/compiler";
import { compilePolicy } from "./parse-policy.ts";
import { PolicyError, type PolicyIssue } from "./policy-error.ts";
import { STEP_NAME } from "./sequence-grammar.ts";
import { FORBIDDEN_KEYS } from "./source-document.ts";
import { didYouMean } from "./spelling.ts";

/** Which variables to read, and what to call the policy. */
export interface EnvironmentOptions {
  /** The variable with the order; `STEPGATE_STEP_ORDER` by default. */
  readonly order?: string;
  /** The variable with the action map; `STEPGATE_ACTION_MAP` by default. */
  readonly actions?: string;
  /** `env` by default. */
  readonly id?: string;
  /** `0` by default. */
  readonly version?: string;
  /** Read instead of `process.env`. */
  readonly env?: Readonly<Record<string, string | undefined>>;
}

/**
 * Compiles the policy of two variables: step names separated by single commas, and a JSON object from each name to its
 * action types. There is no "allow all": what is missing, empty or misspelt stops the program.
 *
 * @throws PolicyError that names the variable.
 * @example policyFromEnv() // STEPGATE_STEP_ORDER="intake,settle" STEPGATE_ACTION_MAP='{"intake":["READ"],"settle":["SEAL"]}'
 */
export function policyFromEnv(options: EnvironmentOptions = {}): CompiledPolicy {
  const {
    order = "STEPGATE_STEP_ORDER",
    actions = "STEPGATE_ACTION_MAP",
    id = "env",
    version = "0",
    env = process.env,
  } = options;
  const steps = readOrder(order, env[order]);
  const map = readMap(actions, env[actions]);
  const issues = [...steps.issues, ...map.issues];
  if (steps.names !== undefined && map.entries !== undefined)
    issues.push(...mismatches(steps.names, map.entries, order, actions));
  if (issues.length > 0 || steps.names === undefined || map.entries === undefined)
    throw new PolicyError(issues, { file: "environment" });
  const functions = Object.fromEntries(map.entries);
  return compilePolicy({
    schema: "stepgate.policy/1",
    id,
    version,
    sequence: steps.names.join(", "),
    functions,
  });
}

function readOrder(
  variable: string,
  text: string | undefined,
): { readonly names?: readonly string[]; readonly issues: readonly PolicyIssue[] } {
  if (text === undefined || text === "")
    return { issues: [absent(variable, text, "step names separated by single commas")] };
  const names = text.split(",");
  const issues = names.flatMap((name, index): PolicyIssue[] => {
    const fault = nameFault(name, names.indexOf(name) < index);
    return fault === undefined ? [] : [{ path: variable, message: `name ${index + 1} ${fault}` }];
  });
  return { names, issues };
}

function nameFault(name: string, repeated: boolean): string | undefined {
  if (name === "") return "is empty";
  if (name !== name.trim()) return `has white space around it: '${name}'`;
  if (!STEP_NAME.test(name)) return `is no step name: '${name}'`;
  if (FORBIDDEN_KEYS.has(name)) return `is not allowed as a name: '${name}'`;
  return repeated ? `stands twice: '${name}'` : undefined;
}

type Entry = readonly [name: string, actions: readonly string[]];

function readMap(
  variable: string,
  text: string | undefined,
): { readonly entries?: readonly Entry[]; readonly issues: readonly PolicyIssue[] } {
  if (text === undefined || text === "")
    return {
      issues: [absent(variable, text, "a JSON object of function names and lists of action types")],
    };
  const value = readJson(text);
  if (value instanceof JsonError) return { issues: [{ path: variable, message: value.message }] };
  if (typeof value !== "object" || value === null || Array.isArray(value))
    return { issues: [{ path: variable, message: "must be a JSON object" }] };
  const entries: Entry[] = [];
  const issues: PolicyIssue[] = [];
  for (const [name, list] of Object.entries(value)) {
    const fault = listFault(list);
    if (fault === undefined) entries.push([name, list as readonly string[]]);
    else issues.push({ path: `${variable}.${name}`, message: fault });
  }
  return issues.length > 0 ? { issues } : { entries, issues };
}

function readJson(text: string): unknown {
  try {
    return parseStrictJson(text, { bytes: 1_048_576, depth: 2 });
  } catch (error) {
    if (error instanceof JsonError) return error;
    throw error;
  }
}

function listFault(list: unknown): string | undefined {
  if (!Array.isArray(list) || !list.every((action) => typeof action === "string"))
    return "must be a list of action types";
  if (list.length === 0) return "is empty: a function without action types can never be passed";
  const twice = list.find((action, index) => list.indexOf(action) < index);
  if (twice !== undefined) return `'${twice}' stands twice`;
  const wrong = list.find((action) => !/^[A-Za-z0-9._:-]{1,128}$/.test(action));
  return wrong === undefined
    ? undefined
    : `'${wrong}' is no action type: 1 to 128 of A-Z a-z 0-9 . _ : -`;
}

function mismatches(
  names: readonly string[],
  entries: readonly Entry[],
  order: string,
  actions: string,
): readonly PolicyIssue[] {
  const mapped = entries.map(([name]) => name);
  return [
    ...names
      .filter((name) => name !== "" && !mapped.includes(name))
      .map((name) => ({
        path: actions,
        message: `step '${name}' of ${order} has no function: it could never be passed`,
        ...didYouMean(name, mapped),
      })),
    ...mapped
      .filter((name) => !names.includes(name))
      .map((name) => ({
        path: actions,
        message: `function '${name}' has no step in ${order}`,
        ...didYouMean(name, names),
      })),
  ];
}

function absent(variable: string, text: string | undefined, expected: string): PolicyIssue {
  return {
    path: variable,
    message: `${text === undefined ? "is not set" : "is empty"}; it must hold ${expected}`,
  };
}
