/** What a policy refuses an agent whatever came before: check 6, and limits that no call of it passes. */
import type {
  CompiledAgents,
  CompiledConditions,
  CompiledForbid,
  CompiledPolicy,
} from "@stepgate/core/compiler";
import { type CallMembers, type CallRefusal, type Place, standingOn } from "./analysis-calls.ts";

/** Nothing, where the agent may do it. */
export interface Permission {
  /** Check 6; it leaves the call of a tool to the next function. */
  readonly denied?: CallRefusal;
  /** A limit that refuses every call. */
  readonly blocked?: CallRefusal;
}

/** Whether an agent may make a call as a function. */
export function permissionOf(
  policy: CompiledPolicy,
  members: CallMembers,
  agent: string | undefined,
): Permission {
  const denied = deniedBy(policy, members, agent);
  const [blocked] = standingOn(policy, members).flatMap(([place, conditions]) =>
    blockedBy(place, conditions, agent),
  );
  return { ...(denied !== undefined && { denied }), ...(blocked !== undefined && { blocked }) };
}

/** Limits that no call passes: one of nothing, and one per agent where there is no agent. */
function blockedBy(
  path: Place,
  { calls, sum }: CompiledConditions,
  agent: string | undefined,
): readonly CallRefusal[] {
  const refuse = (limit: string): CallRefusal => ({
    code: "LIMIT_EXCEEDED",
    rule: `${path.join(".")}.limits.${limit}`,
  });
  return [
    ...(calls !== undefined &&
    (Number(calls.max) < 1 || (calls.per === "agent" && agent === undefined))
      ? [refuse("calls")]
      : []),
    ...(sum?.per === "agent" && agent === undefined ? [refuse("sum")] : []),
  ];
}

/** Check 6: what `forbid` names, then what the agent's patterns leave, then the map. */
function deniedBy(
  policy: CompiledPolicy,
  members: CallMembers,
  agent: string | undefined,
): CallRefusal | undefined {
  const refuse = (rule: string): CallRefusal => ({ code: "ACTION_NOT_ALLOWED", rule });
  const { forbid, patterns } = rulesFor(policy, agent);
  const forbidden = forbid.find(({ item }) => isForbidden(item, members));
  if (forbidden !== undefined) return refuse(forbidden.rule);
  if (patterns !== undefined) {
    if (patterns.length === 0) return refuse("agents");
    const narrower = patterns.find(
      ({ functions }) => functions.get(members.function)?.has(members.action_type) === false,
    );
    if (narrower !== undefined) return refuse(`agents.${narrower.pattern}`);
  }
  return policy.functions.get(members.function)?.actions.has(members.action_type) === true
    ? undefined
    : refuse(`functions.${members.function}.actions`);
}

/** What concerns one agent of what stands above the map. */
interface AgentRules {
  readonly forbid: readonly { readonly rule: string; readonly item: CompiledForbid }[];
  /** Absent where the policy does not look at agents. */
  readonly patterns?: readonly CompiledAgents[];
}

/** For the last agent alone: one agent after another is looked at, and each for all calls. */
const lastRules = new WeakMap<
  CompiledPolicy,
  { readonly agent: string | undefined; readonly rules: AgentRules }
>();

function rulesFor(policy: CompiledPolicy, agent: string | undefined): AgentRules {
  const last = lastRules.get(policy);
  if (last !== undefined && last.agent === agent) return last.rules;
  const { forbid = [], agents } = policy;
  const rules: AgentRules = {
    forbid: forbid.flatMap((item, index) =>
      item.agents === undefined || item.agents(agent ?? "")
        ? [{ rule: `forbid.${index}`, item }]
        : [],
    ),
    ...(agents !== undefined && {
      patterns: agent === undefined ? [] : agents.filter((entry) => entry.matches(agent)),
    }),
  };
  lastRules.set(policy, { agent, rules });
  return rules;
}

function isForbidden(item: CompiledForbid, members: CallMembers): boolean {
  const has = (set: ReadonlySet<string> | undefined, member: string | undefined): boolean =>
    set === undefined || (member !== undefined && set.has(member));
  return (
    has(item.actions, members.action_type) &&
    has(item.functions, members.function) &&
    has(item.steps, members.step) &&
    has(item.tools, members.tool)
  );
}
