/** Which item of a policy a finding comes from: the first without which it would not hold. */
import type { CompiledConditions, CompiledPolicy } from "@stepgate/core/compiler";
import type { Path } from "./finding.ts";

/** A part of a policy that takes something away, and the policy without it. */
export interface Removal {
  readonly path: Path;
  readonly without: CompiledPolicy;
}

/** Items that are tried; a policy may have thousands. */
const MAX_TRIALS = 100;

/**
 * The path of the item that is to blame: the finding goes away without it. `sequence` where it holds without all of
 * them, or where no single one is to blame.
 */
export function causeOf(
  policy: CompiledPolicy,
  holdsFor: (policy: CompiledPolicy) => boolean,
): Path {
  if (holdsFor(bare(policy))) return ["sequence"];
  const found = removals(policy)
    .take(MAX_TRIALS)
    .find(({ without }) => !holdsFor(without));
  return found?.path ?? ["sequence"];
}

/** Every limit on the calls of a sequence, and the policy without it. */
export function* limitRemovals(policy: CompiledPolicy): Generator<Removal> {
  for (const section of ["functions", "tools"] as const)
    for (const [name, { conditions }] of policy[section])
      if (isLimited(conditions))
        yield {
          path: [section, name, "limits", "calls"],
          without: withLimits(policy, (path) => path !== conditions?.path),
        };
}

/** The policy with those limits on calls of a sequence alone that stand at a path that is kept. */
export function withLimits(
  policy: CompiledPolicy,
  isKept: (path: string) => boolean,
): CompiledPolicy {
  const unlimited = <T extends { readonly conditions?: CompiledConditions }>(entry: T): T => {
    const { conditions } = entry;
    if (conditions === undefined || !isLimited(conditions) || isKept(conditions.path)) return entry;
    const { calls: _, ...others } = conditions;
    return { ...entry, conditions: others };
  };
  return {
    ...policy,
    functions: new Map([...policy.functions].map(([name, entry]) => [name, unlimited(entry)])),
    tools: new Map([...policy.tools].map(([name, entry]) => [name, unlimited(entry)])),
  };
}

function isLimited(conditions: CompiledConditions | undefined): boolean {
  return conditions?.calls !== undefined && conditions.calls.per === undefined;
}

/** The order and the map, with nothing that narrows them. */
function bare(policy: CompiledPolicy): CompiledPolicy {
  const { agents: _, ...rest } = withLimits(policy, () => false);
  return { ...rest, constraints: [], forbid: [] };
}

function* removals(policy: CompiledPolicy): Generator<Removal> {
  const { constraints = [], forbid = [], agents = [] } = policy;
  for (const index of constraints.keys())
    yield {
      path: ["constraints", index],
      without: { ...policy, constraints: constraints.toSpliced(index, 1) },
    };
  for (const index of forbid.keys())
    yield { path: ["forbid", index], without: { ...policy, forbid: forbid.toSpliced(index, 1) } };
  for (const [index, entry] of agents.entries())
    yield {
      path: ["agents", entry.pattern],
      without: {
        ...policy,
        agents: agents.with(index, {
          pattern: entry.pattern,
          matches: (agent) => entry.matches(agent),
          functions: new Map(),
        }),
      },
    };
  yield* limitRemovals(policy);
}
