/** What analysis says about a policy. */
import type { PolicyCall } from "./analysis-calls.ts";
import type { Space } from "./analysis-model.ts";
import type { Finding } from "./finding.ts";

/** What analysis can find; the first three stop a policy from loading. */
export type AnalysisCode =
  | "never-completable"
  | "never-sealable"
  | "agents-widening"
  | "unreachable-step"
  | "dead-end"
  | "unsealable"
  | "unused-function"
  | "unused-tool"
  | "empty-actions"
  | "constraint-never-fires"
  | "constraint-always-fires"
  | "budget"
  | "undecided";

/** One answer, at the path in the policy that it comes from. */
export interface PolicyFinding extends Finding {
  readonly code: AnalysisCode;
  readonly severity: "error" | "warning";
  /** `unknown` where the example holds only for some arguments, or the search was given up. */
  readonly certainty: "proved" | "unknown";
  /** The step of the order that it is about. */
  readonly step?: string;
  /** A shortest example: calls in order, all of them allowed; for `budget` and `constraint-…` but the last. */
  readonly trace?: readonly PolicyCall[];
  /** Whose example it is, where the policy tells agents apart. */
  readonly agent?: string;
  /** Rules of conditions that the example passes by, where it is not proved. */
  readonly dependsOn?: readonly string[];
}

/** The example of a finding, and how certain it is. */
export function example(
  calls: readonly PolicyCall[],
  conditions: readonly string[],
  agent: string | undefined,
): Pick<PolicyFinding, "certainty" | "trace" | "agent" | "dependsOn"> {
  return {
    certainty: conditions.length === 0 ? "proved" : "unknown",
    trace: calls,
    ...(agent !== undefined && { agent }),
    ...(conditions.length > 0 && { dependsOn: conditions }),
  };
}

/** Calls of a space by number, as requests make them. */
export function callsAs(space: Space, numbers: readonly number[]): readonly PolicyCall[] {
  return numbers.flatMap((number) => space.calls[number]?.[0] ?? []);
}
