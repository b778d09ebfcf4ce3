/** The public surface of `@stepgate/policy`: the policy language, text to a checked, compiled policy. */
export { analyse, analyseErrors, type AnalysisLimits } from "./analysis.ts";
export { callText, type CallRefusal, type PolicyCall } from "./analysis-calls.ts";
export type { AnalysisCode, PolicyFinding } from "./analysis-finding.ts";
export { policyTests } from "./check-document.ts";
export {
  type CoverageCount,
  type CoverageItem,
  type CoverageKind,
  type DecidedCall,
  policyCoverage,
  type PolicyCoverage,
} from "./coverage.ts";
export { definePolicy, type Duration, type PolicyDefinition } from "./define-policy.ts";
export { draftPolicy, type PolicyDraft } from "./draft-policy.ts";
export { type EnvironmentOptions, policyFromEnv } from "./environment.ts";
export { formatPolicy } from "./format-policy.ts";
export type { GroundingEntry, GroundingMatch, GroundingOrigin } from "./grounding.ts";
export { learnPolicy, type LearnOptions } from "./learn-policy.ts";
export type { RecordedCall, RecordedRun } from "./learn-runs.ts";
export { loadPolicy } from "./load-policy.ts";
export { locateRule, locateStep } from "./locate-rule.ts";
export {
  checkPolicy,
  compilePolicy,
  parsePolicy,
  type ParseOptions,
  type PolicyCheck,
} from "./parse-policy.ts";
export {
  diffPolicies,
  type DiffLimits,
  type PolicyChange,
  type PolicyDiff,
  type UndecidedChange,
} from "./policy-diff.ts";
export { GRAPH_FORMATS, type GraphFormat, graphPolicy } from "./policy-graph.ts";
export { type Picture, pictureOf } from "./policy-graph-picture.ts";
export { formatIssue, PolicyError, type PolicyIssue, type PolicyWarning } from "./policy-error.ts";
export type {
  AgentEntry,
  ApprovalEntry,
  ArgumentSchema,
  ConditionEntries,
  ConstraintEntry,
  ForbidEntry,
  FunctionEntry,
  LimitEntry,
  LimitsEntry,
  PolicyDocument,
  PolicyTest,
  PolicyTestCall,
  PolicyTestDocument,
  SelectorEntry,
  SequenceItem,
  ToolEntry,
} from "./policy-document.ts";
export { policyJsonSchema, policyTestJsonSchema } from "./policy-schema.ts";
export { checkPolicyTests, type PolicyTestCheck } from "./policy-test-file.ts";
export type { Position } from "./source-document.ts";
export { didYouMean } from "./spelling.ts";
export { readTools, type ToolDescription } from "./tool-list.ts";
