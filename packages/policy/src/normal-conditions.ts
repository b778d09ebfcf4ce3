/** What stands on a tool or function, in its normal form: short forms written out, defaults left out (policy.md, Identity). */
import { asSet, mapMembers } from "./code-unit-order.ts";
import { milliseconds } from "./duration.ts";
import { type NormalGrounding, normalGrounding } from "./grounding.ts";
import type {
  ApprovalEntry,
  ArgumentSchema,
  ConditionEntries,
  LimitEntry,
  LimitsEntry,
} from "./policy-document.ts";

/** The members of a tool or function that narrow it. */
export interface NormalConditions {
  readonly audience?: string;
  readonly args?: ArgumentSchema;
  readonly when?: string;
  readonly grounded?: Readonly<Record<string, NormalGrounding>>;
  readonly ungrounded?: readonly string[];
  readonly bind?: Readonly<Record<string, string>>;
  readonly limits?: {
    readonly calls?: NormalLimit;
    readonly sum?: NormalLimit & { readonly of: string };
  };
  readonly approval?: NormalApproval;
}

/** A limit; its window is in milliseconds. */
export interface NormalLimit {
  readonly max: number;
  readonly per?: "agent" | "tenant";
  readonly window?: number;
}

interface NormalApproval {
  readonly when?: string;
  readonly count?: number;
  readonly by: readonly string[];
}

/** Writes out the conditions of a checked entry. */
export function normalConditions(entry: ConditionEntries): NormalConditions {
  const { approval, args, audience, bind, when } = entry;
  const grounded = mapMembers(entry.grounded, normalGrounding);
  const ungrounded = asSet(entry.ungrounded ?? []);
  const limits = normalLimits(entry.limits ?? {});
  return {
    ...(audience !== undefined && { audience }),
    ...(args !== undefined && { args }),
    ...(when !== undefined && { when: when.trim() }),
    ...(isFilled(grounded) && { grounded }),
    ...(ungrounded.length > 0 && { ungrounded }),
    ...(bind !== undefined && isFilled(bind) && { bind }),
    ...(isFilled(limits) && { limits }),
    ...(approval !== undefined && { approval: normalApproval(approval) }),
  };
}

function normalLimits({ calls, sum }: LimitsEntry): NonNullable<NormalConditions["limits"]> {
  return {
    ...(calls !== undefined && {
      calls: normalLimit(typeof calls === "number" ? { max: calls } : calls),
    }),
    ...(sum !== undefined && { sum: { of: sum.of, ...normalLimit(sum) } }),
  };
}

function normalLimit({ max, per, window }: LimitEntry): NormalLimit {
  return {
    max,
    ...(per !== undefined && { per }),
    ...(window !== undefined && { window: milliseconds(window) }),
  };
}

function normalApproval({ by, count, when }: ApprovalEntry): NormalApproval {
  return {
    by: asSet(by),
    ...(when !== undefined && { when: when.trim() }),
    ...(count !== undefined && count !== 1 && { count }),
  };
}

function isFilled(members: object): boolean {
  return Object.keys(members).length > 0;
}
