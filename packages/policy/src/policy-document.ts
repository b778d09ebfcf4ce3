/** A policy document as TypeScript sees it: the policy as it is written, short forms and all. */
import type { DenyCode } from "@stepgate/core/compiler";
import type { GroundingEntry } from "./grounding.ts";

/** A policy as it is written (policy.md). */
export interface PolicyDocument {
  readonly schema: "stepgate.policy/1";
  readonly id: string;
  readonly version: string;
  readonly sequence: string | readonly SequenceItem[];
  readonly functions: Readonly<Record<string, FunctionEntry>>;
  readonly tools?: Readonly<Record<string, ToolEntry>> | undefined;
  readonly constraints?: readonly ConstraintEntry[] | undefined;
  readonly forbid?: readonly ForbidEntry[] | undefined;
  readonly agents?: Readonly<Record<string, AgentEntry>> | undefined;
  readonly sealOn?: readonly string[] | undefined;
  readonly freshness?: string | number | undefined;
  readonly lifetime?: string | number | undefined;
  readonly tests?: readonly PolicyTest[] | undefined;
}

/** One item of a sequence that is written as a list. */
export type SequenceItem =
  | string
  | {
      readonly step: string;
      readonly optional?: boolean | undefined;
      readonly min?: number | undefined;
      readonly max?: number | undefined;
    };

/** A JSON Schema 2020-12; `false` fits nothing. */
export type ArgumentSchema = boolean | Readonly<Record<string, unknown>>;

/** A limit: in a sequence, or with `per` and `window` by an agent or tenant in fixed windows of the gate's clock. */
export interface LimitEntry {
  readonly max: number;
  readonly per?: "agent" | "tenant" | undefined;
  /** `"24h"`, or whole milliseconds. */
  readonly window?: string | number | undefined;
}

/** What calls may cost: how many there are, and the sum of an argument. */
export interface LimitsEntry {
  /** `n` is short for `{ max: n }`. */
  readonly calls?: number | LimitEntry | undefined;
  /** `of` is a dotted path such as `args.amount`. */
  readonly sum?: (LimitEntry & { readonly of: string }) | undefined;
}

/** Who must have signed the very call. */
export interface ApprovalEntry {
  /** CEL: only calls for which this holds. */
  readonly when?: string | undefined;
  /** How many people; 1 by default. */
  readonly count?: number | undefined;
  /** Roles, one of which each of them must have. */
  readonly by: readonly string[];
}

/** What may stand on a tool or on a function; both apply, the function's first. */
export interface ConditionEntries {
  /** Which resource server may redeem the permit. */
  readonly audience?: string | undefined;
  readonly args?: ArgumentSchema | undefined;
  /** CEL; must evaluate to exactly `true`. */
  readonly when?: string | undefined;
  /** By dotted path under `args`: where the value must occur. */
  readonly grounded?: Readonly<Record<string, GroundingEntry>> | undefined;
  /** Dotted paths under `args` that need not occur anywhere. */
  readonly ungrounded?: readonly string[] | undefined;
  /** By name: the path, such as `args.application_id`, of what must be the same in every call that binds the name. */
  readonly bind?: Readonly<Record<string, string>> | undefined;
  readonly limits?: LimitsEntry | undefined;
  readonly approval?: ApprovalEntry | undefined;
}

/** What a function permits; `[X]` is short for `{ actions: [X] }`. */
export type FunctionEntry<Name extends string = string> =
  | readonly Name[]
  | ({
      readonly actions: readonly Name[];
      readonly step?: Name | undefined;
    } & ConditionEntries);

/** What a tool of the host stands for. */
export interface ToolEntry<Name extends string = string> extends ConditionEntries {
  /** Of several the first stands that is admissible and permits the action type. */
  readonly function: Name | readonly Name[];
  readonly action: Name;
}

/** Picks calls by one of their members; a bare name is a function. */
export type SelectorEntry =
  | string
  | {
      readonly function?: string | undefined;
      readonly step?: string | undefined;
      readonly action?: string | undefined;
      readonly tool?: string | undefined;
    };

/** One of: the second call only after the first, or no more after the first. */
export interface ConstraintEntry {
  readonly precedence?: readonly [SelectorEntry, SelectorEntry] | undefined;
  readonly never?: readonly [SelectorEntry, SelectorEntry] | undefined;
}

/** What is forbidden: calls that match every selector that is given. */
export interface ForbidEntry {
  readonly actions?: readonly string[] | undefined;
  readonly functions?: readonly string[] | undefined;
  readonly steps?: readonly string[] | undefined;
  readonly tools?: readonly string[] | undefined;
  /** Patterns; `*` is any run of characters. */
  readonly agents?: readonly string[] | undefined;
}

/** What is left to the agents of a pattern; functions that are not listed keep their list. */
export interface AgentEntry {
  readonly functions?:
    | Readonly<Record<string, readonly string[] | { readonly actions: readonly string[] }>>
    | undefined;
}

/** A test in a policy: calls in order, and what each must answer. */
export interface PolicyTest {
  readonly name: string;
  readonly context?: Readonly<Record<string, unknown>> | undefined;
  readonly agent_id?: string | undefined;
  readonly tenant?: string | undefined;
  readonly calls: readonly PolicyTestCall[];
}

/** A call in a test: a tool, or a function and an action type. */
export interface PolicyTestCall {
  readonly tool?: string | undefined;
  readonly function?: string | undefined;
  readonly action_type?: string | undefined;
  readonly step?: string | undefined;
  readonly args?: Readonly<Record<string, unknown>> | undefined;
  readonly agent_id?: string | undefined;
  readonly expect: "ALLOW" | DenyCode;
}

/** Tests in a file of their own, beside the policy that they are about. */
export interface PolicyTestDocument {
  /** The policy's file, from the folder of this one. */
  readonly policy: string;
  readonly tests: readonly PolicyTest[];
}
