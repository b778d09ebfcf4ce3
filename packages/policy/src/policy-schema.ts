/** The policy language as one zod schema: it drives the checks, the names of unknown keys and the editor's JSON Schema. */
import { DENY_CODES, type DenyCode } from "@stepgate/core";
import { z } from "zod";

/** The names that requests carry: functions, action types. */
const NAME = /^[A-Za-z0-9._:-]{1,128}$/;
const TOOL_NAME = /^[A-Za-z0-9._:/-]{1,128}$/;
/** The grammar of `sequence_id`, which all identifiers in receipts share. */
const IDENTIFIER = /^[A-Za-z0-9][A-Za-z0-9._:@/-]{0,199}$/;
const DURATION = /^[1-9][0-9]*(ms|s|m|h|d)$/;

const name = z
  .string({ error: "must be a name" })
  .regex(NAME, { error: "a name is 1 to 128 of A-Z a-z 0-9 . _ : -" });
const stepName = z
  .string({ error: "must be a step's name, or '*'" })
  .regex(/^(?:\*|[A-Za-z0-9._:-]{1,128})$/, { error: "must be a step's name, or '*'" });
const toolName = z
  .string()
  .regex(TOOL_NAME, { error: "a tool name is 1 to 128 of A-Z a-z 0-9 . _ : / -" });
const identifier = z.string({ error: "must be a string" }).regex(IDENTIFIER, {
  error: "an identifier is 1 to 200 of A-Z a-z 0-9 . _ : @ / -, with a letter or digit first",
});
const label = z
  .string({ error: "must be a string; write it in quotes" })
  .regex(/^[^\p{Cc}]{1,200}$/u, {
    error: "must be 1 to 200 characters without control characters",
  });
const duration = z.union(
  [
    z.string().regex(DURATION, { error: "must be a duration such as '300s' (ms, s, m, h, d)" }),
    z
      .int({ error: "must be a whole number of milliseconds" })
      .min(1, { error: "must be at least 1 ms" }),
  ],
  { error: "must be a duration such as '300s', or whole milliseconds" },
);

const actions = z.array(name, { error: "must be a list of action types" });

/** Said of a member that is part of the language but not of this version. */
export const NOT_SUPPORTED = "is not supported by this version of Stepgate";
/** A member of Level 2. It would narrow what is allowed, so a gate that cannot hold it must not load the policy. */
const notYet = z.never({ error: NOT_SUPPORTED }).optional();
const conditions = {
  args: notYet,
  when: notYet,
  grounded: notYet,
  ungrounded: notYet,
  bind: notYet,
  limits: notYet,
  approval: notYet,
};

const functionEntry = z.union(
  [
    actions,
    members({
      step: stepName.optional(),
      actions,
      audience: notYet,
      ...conditions,
    }),
  ],
  {
    error: "must be a list of action types, or { actions, step }",
  },
);

const toolEntry = members({
  function: z.union([name, z.array(name).min(1, { error: "must name at least one function" })], {
    error: "must be a function's name, or a list of them",
  }),
  action: name,
  audience: identifier.optional(),
  ...conditions,
});

const count = z.int({ error: "must be a whole number" }).min(0, { error: "must not be negative" });
const sequenceItem = z.union(
  [
    z.string(),
    members({
      step: z.string({ error: "must be a step's name" }),
      optional: z.boolean({ error: "must be true or false" }).optional(),
      min: count.optional(),
      max: count.optional(),
    }),
  ],
  { error: "must be an expression, or { step, optional, min, max }" },
);
const sequence = z.union(
  [z.string(), z.array(sequenceItem).min(1, { error: "must not be empty" })],
  {
    error: "must be an expression, or a list of expressions",
  },
);

const anything = z.record(z.string(), z.unknown(), { error: "must be an object" });
const testCall = members({
  tool: z.string().optional(),
  function: z.string().optional(),
  action_type: z.string().optional(),
  step: z.string().optional(),
  args: anything.optional(),
  agent_id: z.string().optional(),
  expect: z.enum(["ALLOW", ...DENY_CODES], { error: "must be ALLOW or a deny code" }),
}).refine(
  (call) =>
    (call.tool === undefined) !== (call.function === undefined && call.action_type === undefined),
  {
    error: "a call names a tool, or a function and an action_type",
  },
);
const test = members({
  name: z.string({ error: "must be a string" }),
  context: anything.optional(),
  agent_id: z.string().optional(),
  tenant: z.string().optional(),
  calls: z
    .array(testCall, { error: "must be a list of calls" })
    .min(1, { error: "a test needs a call" }),
});

const policy = members({
  schema: z.literal("stepgate.policy/1", { error: "must be 'stepgate.policy/1'" }),
  id: identifier,
  version: label,
  sequence,
  functions: z.record(name, functionEntry, {
    error: "must be an object: function names and what each permits",
  }),
  tools: z
    .record(toolName, toolEntry, {
      error: "must be an object: tool names and what each stands for",
    })
    .optional(),
  sealOn: actions.optional(),
  freshness: duration.optional(),
  lifetime: duration.optional(),
  constraints: notYet,
  forbid: notYet,
  agents: notYet,
  tests: z.array(test, { error: "must be a list of tests" }).optional(),
});

/** A policy as it is written, short forms and all. */
export interface PolicyDocument {
  readonly schema: "stepgate.policy/1";
  readonly id: string;
  readonly version: string;
  readonly sequence: string | readonly SequenceItem[];
  readonly functions: Readonly<Record<string, FunctionEntry>>;
  readonly tools?: Readonly<Record<string, ToolEntry>> | undefined;
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

/** What a function permits; `[X]` is short for `{ actions: [X] }`. */
export type FunctionEntry<Name extends string = string> =
  | readonly Name[]
  | { readonly actions: readonly Name[]; readonly step?: Name | undefined };

/** What a tool of the host stands for. */
export interface ToolEntry<Name extends string = string> {
  readonly function: Name | readonly Name[];
  readonly action: Name;
  readonly audience?: string | undefined;
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

/** The schema of a policy document. */
export const policySchema: z.ZodType<PolicyDocument> = policy;

/** The JSON Schema (2020-12) of a policy document, for editors. It knows the shapes, not the grammar nor the names. */
export function policyJsonSchema(): object {
  return z.toJSONSchema(policy, { io: "input", unrepresentable: "any" });
}

/** An object with these members and no others. The known names travel in the message: that is where "did you mean" finds them. */
function members<S extends z.core.$ZodShape>(shape: S): z.ZodObject<S, z.core.$strict> {
  return z.strictObject(shape, {
    error: (issue) =>
      issue.code === "unrecognized_keys" ? Object.keys(shape).join(" ") : "must be an object",
  });
}
