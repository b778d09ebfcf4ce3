/** The parts that the schema of the language is made of: names, times, and objects that know their members. */
import { z } from "zod";

/** The names that requests carry: functions, action types. */
const NAME = /^[A-Za-z0-9._:-]{1,128}$/;
const TOOL_NAME = /^[A-Za-z0-9._:/-]{1,128}$/;
/** The grammar of `sequence_id`, which all identifiers in receipts share. */
const IDENTIFIER = /^[A-Za-z0-9][A-Za-z0-9._:@/-]{0,199}$/;
const AGENT_PATTERN = /^[A-Za-z0-9*][A-Za-z0-9._:@/*-]{0,199}$/;
const DURATION = /^[1-9][0-9]*(ms|s|m|h|d)$/;

/** A function or an action type. */
export const name: z.ZodString = z
  .string({ error: "must be a name" })
  .regex(NAME, { error: "a name is 1 to 128 of A-Z a-z 0-9 . _ : -" });

/** A tool of the host. */
export const toolName: z.ZodString = z
  .string({ error: "must be a tool's name" })
  .regex(TOOL_NAME, { error: "a tool name is 1 to 128 of A-Z a-z 0-9 . _ : / -" });

/** What receipts can carry. */
export const identifier: z.ZodString = z.string({ error: "must be a string" }).regex(IDENTIFIER, {
  error: "an identifier is 1 to 200 of A-Z a-z 0-9 . _ : @ / -, with a letter or digit first",
});

/** Which agents: identifiers with `*` for any run of characters. */
export const agentPattern: z.ZodString = z
  .string({ error: "must be a pattern such as 'bot-*'" })
  .regex(AGENT_PATTERN, {
    error:
      "a pattern is 1 to 200 of A-Z a-z 0-9 . _ : @ / - and *, with a letter, digit or * first",
  });

/** `"300s"`, or whole milliseconds. */
export const duration: z.ZodType<string | number> = z.union(
  [
    z.string().regex(DURATION, { error: "must be a duration such as '300s' (ms, s, m, h, d)" }),
    z
      .int({ error: "must be a whole number of milliseconds" })
      .min(1, { error: "must be at least 1 ms" }),
  ],
  { error: "must be a duration such as '300s', or whole milliseconds" },
);

/** A whole number from 0 on. */
export const count: z.ZodInt = z
  .int({ error: "must be a whole number" })
  .min(0, { error: "must not be negative" });

/** Action types, none of them where it forbids. */
export const actions: z.ZodArray<z.ZodString> = z.array(name, {
  error: "must be a list of action types",
});

/** A list with something in it. */
export function several<T extends z.ZodType>(item: T, of: string): z.ZodArray<T> {
  return z
    .array(item, { error: `must be a list of ${of}` })
    .min(1, { error: "must not be empty: it would match nothing" });
}

/** An object with these members and no others. The known names travel in the message: that is where "did you mean" finds them. */
export function members<S extends z.core.$ZodShape>(shape: S): z.ZodObject<S, z.core.$strict> {
  return z.strictObject(shape, {
    error: (issue) =>
      issue.code === "unrecognized_keys" ? Object.keys(shape).join(" ") : "must be an object",
  });
}

/** An object of which exactly one of these members is given. */
export function oneOf<S extends z.core.$ZodShape>(shape: S): z.ZodObject<S, z.core.$strict> {
  const names = Object.keys(shape);
  return members(shape).refine(
    (value) => Object.values(value).filter((member) => member !== undefined).length === 1,
    { error: `must have exactly one of ${names.join(", ")}` },
  );
}
