/** Says what a policy can never do, exactly for everything but arguments, each with a shortest example. */
import type { CompiledPolicy } from "@stepgate/core/compiler";
import { type AgentClasses, agentClasses } from "./analysis-agents.ts";
import { budgetFindings } from "./analysis-budget.ts";
import { causeOf } from "./analysis-cause.ts";
import type { PolicyCall } from "./analysis-calls.ts";
import { callsAs, example, type PolicyFinding } from "./analysis-finding.ts";
import { buildSpace, readingWork, type Space, type State } from "./analysis-model.ts";
import { SEALED } from "./analysis-order.ts";
import {
  type AgentSpace,
  answerEnds,
  answerQuestions,
  canReach,
  isYes,
  type Questions,
  spacesOf,
} from "./analysis-questions.ts";
import { findStuck, type StuckKind } from "./analysis-stuck.ts";
import { type Effort, replay } from "./analysis-walk.ts";

/** How much an analysis may take before it says that it does not know. */
export interface AnalysisLimits {
  /** States that one search may hold; 200,000 by default, 20,000 for loading. */
  readonly states?: number;
  /** Calls that all searches together may look at, each in one state; 2 million by default, which is seconds; 50,000 for loading, some 100 ms. */
  readonly work?: number;
}

/**
 * Every finding about a policy: errors that must stop it from loading, then warnings. Deterministic; never throws for a
 * compiled policy, however large.
 *
 * @example for (const { severity, path, message } of analyse(policy)) console.log(severity, path.join("."), message);
 */
export function analyse(
  policy: CompiledPolicy,
  { states = 200_000, work = 2_000_000 }: AnalysisLimits = {},
): readonly PolicyFinding[] {
  const classes = agentClasses([policy]);
  const effort = startingEffort(policy, { states, work }, classes);
  const subject: Subject = {
    policy,
    agents: classes.agents,
    spaces: [...spacesOf(policy, classes.agents, effort)],
    effort,
  };
  const questions = answerQuestions(policy, subject.spaces, effort);
  const stuck = isYes(questions.seal) ? stuckFindings(subject) : NO_FINDINGS;
  const budget = budgetFindings(policy, classes.agents, effort);
  const isUndecided =
    effort.work < 0 ||
    stuck.undecided ||
    budget.undecided ||
    !classes.complete ||
    questions.undecided.length > 0;
  return [
    ...wideningFindings(policy),
    ...endFindings(subject, questions),
    ...usageFindings(policy, questions),
    ...stuck.findings,
    ...constraintFindings(policy, questions),
    ...budget.findings,
    ...(isUndecided ? [undecided(questions.undecided)] : []),
  ];
}

/**
 * The errors alone, for loading: a small part of the work of {@link analyse}. Where even that is too much, one finding
 * says so.
 */
export function analyseErrors(
  policy: CompiledPolicy,
  { states = 20_000, work = 50_000 }: AnalysisLimits = {},
): readonly PolicyFinding[] {
  const classes = agentClasses([policy], work);
  const effort = startingEffort(policy, { states, work }, classes);
  const { agents } = classes;
  const ends = answerEnds(policy, spacesOf(policy, agents, effort), effort);
  const open = [ends.complete, ends.seal].includes("unknown");
  return [
    ...wideningFindings(policy),
    ...endFindings({ policy, agents, effort }, ends),
    ...(open ? [undecided(["complete", "seal"])] : []),
  ];
}

/** A policy is read once for nothing: that is no more than it took to compile it. */
function startingEffort(
  policy: CompiledPolicy,
  { states, work }: Required<AnalysisLimits>,
  { complete }: AgentClasses,
): Effort {
  return { states, work: work + 3 * readingWork(policy).calls, allAgents: complete };
}

interface Subject {
  readonly policy: CompiledPolicy;
  readonly agents: readonly (string | undefined)[];
  /** One for each way in which agents are treated. */
  readonly spaces: readonly AgentSpace[];
  readonly effort: Effort;
}

const NO_FINDINGS = { findings: [], undecided: false };

/** What a pattern of `agents` permits beyond the map. */
function wideningFindings({ agents = [], functions }: CompiledPolicy): readonly PolicyFinding[] {
  return agents.flatMap(({ pattern, functions: narrowed }) =>
    [...narrowed].flatMap(([name, actions]) =>
      [...actions]
        .filter((action) => functions.get(name)?.actions.has(action) !== true)
        .map((action): PolicyFinding => ({
          code: "agents-widening",
          severity: "error",
          path: ["agents", pattern, "functions", name],
          message: `'${pattern}' may do '${action}' in '${name}', which the policy does not permit: agents may only narrow`,
          ...example([{ function: name, action_type: action }], [], undefined),
        })),
    ),
  );
}

/** Errors: no run ends. */
function endFindings(
  subject: Omit<Subject, "spaces">,
  { complete, seal }: Pick<Questions, "complete" | "seal">,
): readonly PolicyFinding[] {
  const error = (
    event: "complete" | "seal",
    told: Pick<PolicyFinding, "code" | "message" | "hint">,
  ): PolicyFinding => ({
    ...told,
    severity: "error",
    path: causeOf(subject.policy, (policy) => !canEver(policy, event, subject)),
    certainty: "proved",
  });
  if (complete === "never")
    return [
      error("complete", {
        code: "never-completable",
        message:
          "this policy can never be completed: no run of allowed calls reaches the end of the order",
        hint: "a step passes only by an action type; one in sealOn only where the order may end",
      }),
    ];
  if (seal !== "never") return [];
  return [
    error("seal", {
      code: "never-sealable",
      message: "this policy can never be sealed: no run of allowed calls ends it",
      hint: "end the order with a step that cannot repeat, or name the sealing action types in sealOn",
    }),
  ];
}

function canEver(
  policy: CompiledPolicy,
  event: "complete" | "seal",
  { agents, effort }: Omit<Subject, "spaces">,
): boolean {
  return canReach(spacesOf(policy, agents, effort), event, effort);
}

/** Steps, functions and tools that no call comes to. */
function usageFindings(policy: CompiledPolicy, questions: Questions): readonly PolicyFinding[] {
  const warn = (
    told: Pick<PolicyFinding, "code" | "path" | "message" | "on" | "step">,
  ): PolicyFinding => ({
    ...told,
    severity: "warning",
    certainty: "proved",
  });
  const functions = [...policy.functions.values()];
  return [
    ...policy.steps
      .filter((_, index) => questions.step(index) === "never")
      .map((step) =>
        warn({
          code: "unreachable-step",
          path: ["sequence"],
          step,
          message: `step '${step}' can never be passed`,
        }),
      ),
    ...functions.flatMap(({ name, actions }) => {
      const place = { path: ["functions", name], on: "key" } as const;
      if (actions.size === 0)
        return [
          warn({
            ...place,
            code: "empty-actions",
            message: `function '${name}' permits no action type`,
          }),
        ];
      if (questions.functionUsed(name) !== "never") return [];
      const message = `no call to function '${name}' can ever be allowed`;
      return [warn({ ...place, code: "unused-function", message })];
    }),
    ...[...policy.tools.keys()]
      .filter((tool) => questions.toolUsed(tool) === "never")
      .map((tool) =>
        warn({
          code: "unused-tool",
          path: ["tools", tool],
          on: "key",
          message: `no call of tool '${tool}' can ever be allowed`,
        }),
      ),
  ];
}

/** For each way in which agents are treated, the nearest state that a run never finishes from. */
function stuckFindings(subject: Subject): {
  readonly findings: readonly PolicyFinding[];
  readonly undecided: boolean;
} {
  const findings = new Map<string, PolicyFinding>();
  let isUndecided = false;
  for (const one of subject.spaces)
    for (const kind of ["complete", "seal"] as const) {
      const stuck = findStuck(one.space, kind, subject.effort);
      if (stuck === "unknown") isUndecided = true;
      if (typeof stuck === "string") continue;
      // Agents that may not even begin are not meant to finish.
      if (stuck.calls.length === 0 && !canBegin(one, subject)) continue;
      const calls = callsAs(one.space, stuck.calls);
      const key = `${kind} ${JSON.stringify(calls)}`;
      // The same calls once, whoever the agent: where arguments have no say in them, if there is such an agent.
      const known = findings.get(key);
      if (known !== undefined && (known.certainty === "proved" || stuck.conditions.length > 0))
        continue;
      const path = causeOf(subject.policy, (policy) =>
        isStuckAfter(policy, one.agent, calls, kind, subject.effort),
      );
      findings.set(key, {
        ...STUCK[kind],
        severity: "warning",
        path,
        message: stuckMessage(calls, STUCK[kind].message, one.agent),
        ...example(calls, stuck.conditions, one.agent),
      });
    }
  return { findings: [...findings.values()], undecided: isUndecided };
}

const STUCK = {
  complete: { code: "dead-end", message: "the order can no longer be completed" },
  seal: { code: "unsealable", message: "the sequence can no longer be sealed" },
} as const;

function stuckMessage(
  calls: readonly PolicyCall[],
  what: string,
  agent: string | undefined,
): string {
  const whose = agent === undefined ? "" : ` for an agent such as '${agent}'`;
  if (calls.length === 0) return `${what.replace("no longer", "never")}${whose}`;
  return `a run can get stuck: ${what}${whose}`;
}

function canBegin(one: AgentSpace, { policy, effort }: Subject): boolean {
  return policy.steps.some((_, index) => canReach([one], `step ${index}`, effort));
}

/** True where the calls are refused, or allowed and then the run still cannot finish. */
function isStuckAfter(
  policy: CompiledPolicy,
  agent: string | undefined,
  calls: readonly PolicyCall[],
  kind: StuckKind,
  effort: Effort,
): boolean {
  const space = buildSpace([policy], agent);
  const { end, refused } = replay(space, calls);
  if (refused !== undefined) return true;
  if (hasEnded(space, end, kind)) return false;
  return !canReach([{ agent, space: { ...space, start: end } }], kind, effort);
}

function hasEnded({ sides }: Space, { positions }: State, kind: StuckKind): boolean {
  const [position = SEALED] = positions;
  return position === SEALED || (kind === "complete" && sides[0]?.order.accepting[position] === 1);
}

function constraintFindings(
  policy: CompiledPolicy,
  questions: Questions,
): readonly PolicyFinding[] {
  return (policy.constraints ?? []).flatMap((_, index): readonly PolicyFinding[] => {
    const refuses = questions.refuses(index);
    const base = { severity: "warning", path: ["constraints", index] } as const;
    if (refuses === "never")
      return [
        {
          ...base,
          code: "constraint-never-fires",
          certainty: "proved",
          message:
            "this constraint never refuses a call: whenever its second call may come, it holds",
        },
      ];
    if (typeof refuses === "string" || questions.admits(index) !== "never") return [];
    return [
      {
        ...base,
        code: "constraint-always-fires",
        message: "this constraint refuses its second call always: it can never be allowed",
        ...example(refuses.calls, refuses.conditions, refuses.agent),
      },
    ];
  });
}

function undecided(questions: readonly string[]): PolicyFinding {
  const shown = questions.slice(0, 5).join(", ");
  return {
    code: "undecided",
    severity: "warning",
    path: ["sequence"],
    certainty: "unknown",
    message: `this policy has too many states to be analysed to the end; what is not found here is not proved${shown === "" ? "" : ` (undecided: ${shown})`}`,
  };
}
