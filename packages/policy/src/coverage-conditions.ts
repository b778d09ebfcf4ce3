/** Which conditions of a policy an answer shows to have held or refused: the checks come in order, and the first failure is told. */
import type {
  CallSelector,
  CompiledConditions,
  CompiledPolicy,
  CompiledTool,
  DenyCode,
} from "@stepgate/core/compiler";
import type { DecidedCall } from "./coverage.ts";

/** One outcome that a condition can have. */
interface ConditionSide {
  readonly key: string;
  readonly rule: string;
  readonly what: "holds" | "refuses";
}

/** Every outcome that the conditions of a policy can show. */
export function conditionSides(policy: CompiledPolicy): readonly ConditionSide[] {
  return [...functionsAndTools(policy), ...besides(policy)];
}

/** The keys of what one answer shows; `bound` are the names that earlier ALLOWs of its sequence bound. */
export function* shownSides(
  policy: CompiledPolicy,
  call: DecidedCall,
  bound: ReadonlySet<string>,
): Generator<string> {
  const { deny_code, rule = "" } = call;
  if (REFUSALS.has(deny_code)) yield refuses(rule).key;
  for (const passed of passedRules(policy, call, bound)) yield holds(passed).key;
}

function functionsAndTools(policy: CompiledPolicy): readonly ConditionSide[] {
  return [...policy.functions.values(), ...policy.tools.values()].flatMap(({ conditions }) =>
    checksOf(conditions, STAGES).flatMap(({ rule, approvesAlways }) =>
      // A test has no person's signature, so an approval that is always asked for is never seen given.
      approvesAlways ? [refuses(rule)] : [holds(rule), refuses(rule)],
    ),
  );
}

function besides({ constraints, forbid, agents = [] }: CompiledPolicy): ConditionSide[] {
  const both = (rule: string): ConditionSide[] => [holds(rule), refuses(rule)];
  return [
    ...constraints.flatMap((_, index) => both(`constraints.${index}`)),
    ...forbid.flatMap((_, index) => both(`forbid.${index}`)),
    // An entry that narrows nothing refuses nothing.
    ...agents.flatMap(({ pattern, functions }) =>
      functions.size === 0 ? [holds(`agents.${pattern}`)] : both(`agents.${pattern}`),
    ),
  ];
}

function holds(rule: string): ConditionSide {
  return { key: `holds ${rule}`, rule, what: "holds" };
}

function refuses(rule: string): ConditionSide {
  return { key: `refuses ${rule}`, rule, what: "refuses" };
}

/** Codes of the checks from 5 on, which conditions belong to; POLICY_ERROR stands in place of some of them. */
const REFUSALS: ReadonlySet<DenyCode | undefined> = new Set<DenyCode>([
  "SEQUENCE_VIOLATION",
  "ACTION_NOT_ALLOWED",
  "ARGUMENT_VIOLATION",
  "LIMIT_EXCEEDED",
  "APPROVAL_REQUIRED",
]);

/** The rules that were asked and passed before the answer was clear. */
function passedRules(
  policy: CompiledPolicy,
  call: DecidedCall,
  bound: ReadonlySet<string>,
): readonly string[] {
  const { deny_code, rule } = call;
  if (deny_code === "ACTION_NOT_ALLOWED") return constraintRules(policy, call);
  const checks = argumentChecks(policy, call);
  const at =
    deny_code === undefined ? checks.length : checks.findIndex((check) => check.rule === rule);
  // Refused before the conditions, or by something that is none.
  if (at < 0) return [];
  const passed = checks.slice(0, at).filter((check) => isAsked(check, call, bound));
  return [
    ...constraintRules(policy, call),
    ...permissionRules(policy, call),
    ...passed.map((check) => check.rule),
  ];
}

/** Check 5: a constraint is asked where its second selector picks the call. */
function constraintRules({ constraints }: CompiledPolicy, call: DecidedCall): string[] {
  return constraints.flatMap(({ second }, index) =>
    picks(second, call) ? [`constraints.${index}`] : [],
  );
}

function picks({ member, name }: CallSelector, call: DecidedCall): boolean {
  return call[member] === name;
}

/** Check 6: every item of `forbid`, and the entries for this agent. */
function permissionRules(
  { forbid, agents = [] }: CompiledPolicy,
  { agent_id }: DecidedCall,
): readonly string[] {
  const mine = agents.filter((entry) => agent_id !== undefined && entry.matches(agent_id));
  return [
    ...forbid.map((_, index) => `forbid.${index}`),
    ...mine.map(({ pattern }) => `agents.${pattern}`),
  ];
}

/** One condition on a function or a tool. */
interface Check {
  readonly rule: string;
  /** The name that `bind` binds. */
  readonly binds?: string;
  /** The argument that `grounded` looks at. */
  readonly grounds?: string;
  readonly approvesAlways?: boolean;
}

/** Checks 7, 8 and 9: within each the function's come first. */
function argumentChecks(policy: CompiledPolicy, call: DecidedCall): readonly Check[] {
  const fn = policy.functions.get(call.function ?? "");
  const tool: CompiledTool | undefined = policy.tools.get(call.tool ?? "");
  return STAGES.flatMap((stage) => [
    ...checksOf(fn?.conditions, [stage]),
    ...checksOf(tool?.conditions, [stage]),
  ]);
}

function checksOf(
  conditions: CompiledConditions | undefined,
  stages: readonly ((conditions: CompiledConditions) => readonly Check[])[],
): readonly Check[] {
  return conditions === undefined ? [] : stages.flatMap((stage) => stage(conditions));
}

const STAGES: readonly ((conditions: CompiledConditions) => readonly Check[])[] = [
  ({ path, args, when, grounded, bind }) => [
    ...(args === undefined ? [] : [{ rule: `${path}.args` }]),
    ...(when === undefined ? [] : [{ rule: `${path}.when` }]),
    ...grounded.map((entry) => ({ rule: `${path}.grounded.${entry.path}`, grounds: entry.path })),
    ...bind.map(({ name }) => ({ rule: `${path}.bind.${name}`, binds: name })),
  ],
  ({ path, calls, sum }) => [
    ...(calls === undefined ? [] : [{ rule: `${path}.limits.calls` }]),
    ...(sum === undefined ? [] : [{ rule: `${path}.limits.sum` }]),
  ],
  ({ path, approval }) =>
    approval === undefined
      ? []
      : [{ rule: `${path}.approval`, approvesAlways: approval.when === undefined }],
];

/** A name that no earlier call bound is not compared, and an argument that is absent is not grounded. */
function isAsked(
  { binds, grounds }: Check,
  call: DecidedCall,
  bound: ReadonlySet<string>,
): boolean {
  if (binds !== undefined) return bound.has(binds);
  return grounds === undefined || call.args === undefined || isThere(call.args, grounds);
}

function isThere(args: object, path: string): boolean {
  let value: unknown = args;
  for (const name of path.split(".")) {
    if (typeof value !== "object" || value === null || !Object.hasOwn(value, name)) return false;
    value = (value as Readonly<Record<string, unknown>>)[name];
  }
  return true;
}
