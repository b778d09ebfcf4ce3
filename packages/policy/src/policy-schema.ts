/** The policy language as one zod schema: it drives the checks, the names of unknown keys and the editor's JSON Schema. */
import { DENY_CODES } from "@stepgate/core/compiler";
import { z } from "zod";
import { conditionMembers } from "./condition-schema.ts";
import type { PolicyDocument, PolicyTestDocument } from "./policy-document.ts";
import {
  actions,
  agentPattern,
  count,
  duration,
  identifier,
  members,
  name,
  oneOf,
  several,
  toolName,
} from "./schema-members.ts";

const label = z
  .string({ error: "must be a string; write it in quotes" })
  .regex(/^[^\p{Cc}]{1,200}$/u, {
    error: "must be 1 to 200 characters without control characters",
  });
const stepName = z
  .string({ error: "must be a step's name, or '*'" })
  .regex(/^(?:\*|[A-Za-z0-9._:-]{1,128})$/, { error: "must be a step's name, or '*'" });

const functionEntry = z.union(
  [
    actions,
    members({
      step: stepName
        .optional()
        .describe("The step it belongs to, where that has another name; * is outside the order."),
      actions: actions.describe("The action types that it permits; [] forbids."),
      ...conditionMembers,
    }),
  ],
  {
    error: "must be a list of action types, or { actions, step }",
  },
);

const toolEntry = members({
  function: z
    .union([name, z.array(name).min(1, { error: "must name at least one function" })], {
      error: "must be a function's name, or a list of them",
    })
    .describe("The function that it stands for; of several the first that is admissible."),
  action: name.describe("The action type of its calls."),
  ...conditionMembers,
});

const sequenceItem = z.union(
  [
    z.string(),
    members({
      step: z.string({ error: "must be a step's name" }).describe("The step."),
      optional: z
        .boolean({ error: "must be true or false" })
        .optional()
        .describe("It may be left out."),
      min: count.optional().describe("How often at least; 1, or 0 where it is optional."),
      max: count.optional().describe("How often at most; as often as min, and once at least."),
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

const selector = z.union(
  [
    name,
    oneOf({
      function: name.optional().describe("Calls of this function."),
      step: name.optional().describe("Calls of this step's functions."),
      action: name.optional().describe("Calls of this action type."),
      tool: toolName.optional().describe("Calls of this tool."),
    }),
  ],
  { error: "must be a function's name, or one of { function, step, action, tool }" },
);
const selectors = z
  .tuple([selector, selector], { error: "must be a list of two selectors" })
  .optional();
const constraint = oneOf({
  precedence: selectors.describe("The second is admissible only after an ALLOW of the first."),
  never: selectors.describe("Once the first was allowed, the second is no more."),
});

const forbidden = members({
  actions: several(name, "action types").optional().describe("Calls of these action types."),
  functions: several(name, "functions").optional().describe("Calls of these functions."),
  steps: several(name, "steps").optional().describe("Calls of these steps' functions."),
  tools: several(toolName, "tools").optional().describe("Calls of these tools."),
  agents: several(agentPattern, "patterns")
    .optional()
    .describe("Calls of agents that one of these patterns matches, such as bot-*."),
}).refine((item) => Object.values(item).some((list) => list !== undefined), {
  error: "must not be empty: it would forbid everything",
});

const agentEntry = members({
  functions: z
    .record(
      name,
      z.union(
        [
          actions,
          members({ actions: actions.describe("The action types that are left; [] forbids.") }),
        ],
        {
          error: "must be a list of action types, or { actions }",
        },
      ),
      { error: "must be an object: function names and what is left of each" },
    )
    .optional()
    .describe("What is left of a function; those that are not listed keep their list."),
});

const anything = z.record(z.string(), z.unknown(), { error: "must be an object" });
const testCall = members({
  tool: z.string().optional().describe("The tool that is called."),
  function: z.string().optional().describe("The function, where no tool stands for the call."),
  action_type: z.string().optional().describe("The action type, beside a function."),
  step: z.string().optional().describe("The step that the caller names; it need not."),
  args: anything.optional().describe("What the call carries; {} unless given."),
  agent_id: z.string().optional().describe("Who calls, where it is not the test's agent."),
  expect: z
    .enum(["ALLOW", ...DENY_CODES], { error: "must be ALLOW or a deny code" })
    .describe("ALLOW, or the code of the denial."),
}).refine(
  (call) =>
    (call.tool === undefined) !== (call.function === undefined && call.action_type === undefined),
  {
    error: "a call names a tool, or a function and an action_type",
  },
);
const test = members({
  name: z.string({ error: "must be a string" }).describe("What is tested."),
  context: anything.optional().describe("What the application vouches for."),
  agent_id: z.string().optional().describe("The agent whose sequence it is."),
  tenant: z.string().optional().describe("The tenant whose sequence it is."),
  calls: z
    .array(testCall, { error: "must be a list of calls" })
    .min(1, { error: "a test needs a call" })
    .describe("Calls in one sequence, in order, and what each must answer."),
});
const tests = z.array(test, { error: "must be a list of tests" });

const policy = members({
  schema: z
    .literal("stepgate.policy/1", { error: "must be 'stepgate.policy/1'" })
    .describe("The language: stepgate.policy/1."),
  id: identifier.describe("The contract's name; one version of it is active at a time."),
  version: label.describe("A label for people; the digest is the identity."),
  sequence: sequence.describe("The step order: a, b | c with ? * + {m,n} and parentheses."),
  functions: z
    .record(name, functionEntry, {
      error: "must be an object: function names and what each permits",
    })
    .describe("The action types that each function permits; a function belongs to a step."),
  tools: z
    .record(toolName, toolEntry, {
      error: "must be an object: tool names and what each stands for",
    })
    .optional()
    .describe("What each tool of the host stands for."),
  constraints: z
    .array(constraint, { error: "must be a list of constraints" })
    .optional()
    .describe("Rules beside the order, over what was allowed."),
  forbid: z
    .array(forbidden, { error: "must be a list of what is forbidden" })
    .optional()
    .describe("Calls that are never allowed: all selectors of an item must match."),
  agents: z
    .record(agentPattern, agentEntry, {
      error: "must be an object: patterns and what is left to their agents",
    })
    .optional()
    .describe("What agents may do at most, by pattern; agents that none matches may do nothing."),
  sealOn: actions.optional().describe("Action types whose ALLOW ends the sequence."),
  freshness: duration
    .optional()
    .describe("How far a caller's clock may be off; 300s unless given."),
  lifetime: duration.optional().describe("How long a sequence lives; 24h unless given."),
  tests: tests.optional().describe("Calls and what each must answer; outside the digest."),
});

/** The schema of a file of tests. */
export const policyTestSchema: z.ZodType<PolicyTestDocument> = members({
  policy: z
    .string({ error: "must be the path of a policy" })
    .min(1, { error: "must be the path of a policy" })
    .describe("The policy's file, from the folder of this one."),
  tests: tests.min(1, { error: "must not be empty" }).describe("As in a policy."),
});

/** The JSON Schema (2020-12) of a file of tests, for editors. */
export function policyTestJsonSchema(): object {
  return z.toJSONSchema(policyTestSchema, { io: "input", unrepresentable: "any" });
}

/** The schema of a policy document. */
export const policySchema: z.ZodType<PolicyDocument> = policy;

/** The JSON Schema (2020-12) of a policy document, for editors. It knows the shapes, not the grammar nor the names. */
export function policyJsonSchema(): object {
  return z.toJSONSchema(policy, { io: "input", unrepresentable: "any" });
}
