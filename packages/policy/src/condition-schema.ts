/** The shape of what may stand on a tool or on a function (policy.md, Level 2). What the texts say is checked elsewhere. */
import { z } from "zod";
import type { GroundingEntry } from "./grounding.ts";
import type { ConditionEntries } from "./policy-document.ts";
import { count, duration, identifier, members, name } from "./schema-members.ts";

const text = z.string({ error: "must be a CEL expression" });

/** What is the path of an argument; keys with a dot in them have none. */
const argumentPath = z
  .string({ error: "must be a path such as args.amount" })
  .regex(/^args(?:\.[^.]+)+$/, { error: "must be a dotted path under args, such as args.amount" });

const bothOrNeither = {
  error: "'per' and 'window' stand together, or neither does",
};
const windowed = {
  per: z
    .enum(["agent", "tenant"], { error: "must be agent or tenant" })
    .optional()
    .describe("Count by agent or by tenant, over all its sequences; needs a window."),
  window: duration.optional().describe("Fixed windows of the gate's clock, such as 24h."),
};

interface Windowed {
  readonly per?: unknown;
  readonly window?: unknown;
}

function areTogether({ per, window }: Windowed): boolean {
  return (per === undefined) === (window === undefined);
}

const limits = members({
  calls: z
    .union(
      [
        count,
        members({ max: count.describe("How many calls are allowed."), ...windowed }).refine(
          areTogether,
          bothOrNeither,
        ),
      ],
      { error: "must be a whole number, or { max, per, window }" },
    )
    .optional()
    .describe("How many calls are allowed: n, or { max, per, window }."),
  sum: members({
    of: argumentPath.describe("The argument that is added up, such as args.amount."),
    max: z
      .number({ error: "must be a number" })
      .min(0, { error: "must not be negative" })
      .describe("What the sum may come to."),
    ...windowed,
  })
    .refine(areTogether, bothOrNeither)
    .optional()
    .describe("What an argument of the calls may add up to."),
});

const approval = members({
  when: text.optional().describe("CEL: only calls for which this is true need an approval."),
  count: z
    .int({ error: "must be a whole number" })
    .min(1, { error: "must be at least 1" })
    .optional()
    .describe("How many different people must approve; 1 unless given."),
  by: z
    .array(name, { error: "must be a list of roles" })
    .min(1, { error: "must name at least one role" })
    .describe("The roles whose people may approve."),
});

const PATH = { type: "string", description: "A path such as context.request." };
const LITERALS = {
  type: "array",
  description: "What is allowed, written out.",
  minItems: 1,
  items: { type: ["string", "integer"] },
};
const ORIGINS = [PATH, { type: "array", minItems: 1, items: { anyOf: [PATH, LITERALS] } }];

// Grounding knows its own faults; the schema tells editors what it looks like.
const groundingEntry = z.custom<GroundingEntry>().meta({
  anyOf: [
    ...ORIGINS,
    {
      type: "object",
      additionalProperties: false,
      required: ["from"],
      properties: {
        from: { description: "The sources.", anyOf: ORIGINS },
        match: {
          description: "host: equal hosts; under: paths at or below; text: words of each item.",
          enum: ["host", "under", "text"],
        },
      },
    },
  ],
});

/** The members, each of which may be left out. */
export const conditionMembers: {
  readonly [K in keyof ConditionEntries]-?: z.ZodOptional<
    z.ZodType<NonNullable<ConditionEntries[K]>>
  >;
} = {
  audience: identifier.optional().describe("Which resource server may redeem the permit."),
  args: z
    .union([z.record(z.string(), z.unknown()), z.boolean()], {
      error: "must be a JSON Schema",
    })
    .optional()
    .describe("JSON Schema 2020-12 of the arguments."),
  when: text
    .optional()
    .describe("CEL over args, context, agent_id and tenant; it must evaluate to exactly true."),
  grounded: z
    .record(z.string(), groundingEntry, {
      error: "must be an object: dotted paths under args, and the sources of each",
    })
    .optional()
    .describe("By dotted path under args: the sources that the value must occur in."),
  ungrounded: z
    .array(
      z
        .string({ error: "must be a dotted path under args" })
        .regex(/^(?!args\.)[^.]+(?:\.[^.]+)*$/, {
          error: "must be a dotted path under args, without args itself",
        }),
      { error: "must be a list of dotted paths under args" },
    )
    .optional()
    .describe("Dotted paths under args that need not occur in any source."),
  bind: z
    .record(name, argumentPath, { error: "must be an object: names and paths such as args.id" })
    .optional()
    .describe("By name: an argument that has the same value in every call that binds the name."),
  limits: limits.optional().describe("How many calls, or what sum of an argument, is allowed."),
  approval: approval.optional().describe("A person's signed approval of this very call is needed."),
};
