/** What the values of one argument let one require of it: that they come from the context, are some of few, or have a form. */
import type { Json } from "@stepgate/core/compiler";
import { isArray, isObject } from "./json-schema-members.ts";
import {
  type ArgumentUse,
  count,
  distinct,
  isClosed,
  recurrenceText,
  runsOf,
} from "./learn-counts.ts";
import {
  type ArgumentPlace,
  isIdentifier,
  isWord,
  type LearnedGrounding,
  learnGrounding,
} from "./learn-grounding.ts";
import { commonPattern } from "./learn-patterns.ts";

/** What is required of an argument, beside its type; `support` says why, for people. */
export type ValueRule =
  | LearnedGrounding
  | { readonly kind: "enum"; readonly values: readonly Json[]; readonly support: string }
  | { readonly kind: "pattern"; readonly pattern: string; readonly support: string }
  | { readonly kind: "free"; readonly support: string };

/** Chooses by counts alone, the narrowest first. */
export function valueRule(uses: readonly ArgumentUse[], place: ArgumentPlace): ValueRule {
  const { support, ...rule } = narrowest(uses, place);
  return { ...rule, support: `${support}, in ${runsOf(uses)} of ${count(place.runs, "run")}` };
}

function narrowest(uses: readonly ArgumentUse[], place: ArgumentPlace): ValueRule {
  const scalars = uses.map(({ value }) => scalarsOf(value));
  if (scalars.includes(undefined)) return { kind: "free", support: "objects: their schema alone" };
  const leaves = uses.flatMap((use, index) =>
    (scalars[index] ?? []).map((value) => ({ ...use, value })),
  );
  return (
    learnGrounding(uses, leaves, place) ??
    (place.reads ? undefined : (listed(leaves) ?? formed(leaves))) ??
    free(leaves)
  );
}

/** The scalars of a value; nothing where objects hold them, which no rule looks into. */
function scalarsOf(value: Json): readonly Json[] | undefined {
  if (!isArray(value)) return isObject(value) ? undefined : [value];
  const scalars = value.map(scalarsOf);
  return scalars.includes(undefined) ? undefined : scalars.flatMap((list) => list ?? []);
}

/** Runs in which an argument has to come for its values to be an enumeration. */
const ENOUGH_RUNS = 3;

function listed(leaves: readonly ArgumentUse[]): ValueRule | undefined {
  if (runsOf(leaves) < ENOUGH_RUNS || !isClosed(leaves)) return undefined;
  const values = valuesOf(leaves);
  if (values.some((value) => typeof value === "string" && !isWord(value))) return undefined;
  return {
    kind: "enum",
    values,
    support: `${count(values.length, "value")}, ${recurrenceText(leaves)}`,
  };
}

function formed(leaves: readonly ArgumentUse[]): ValueRule | undefined {
  const values = valuesOf(leaves);
  const texts = values.filter((value) => typeof value === "string");
  // Sentences have no form, times of a day do.
  const sentence = texts.some((text) => !isWord(text) && /\p{L}/u.test(text));
  const pattern = texts.length === values.length && !sentence ? commonPattern(texts) : undefined;
  const support = `the form of ${count(values.length, "value")}`;
  return pattern === undefined ? undefined : { kind: "pattern", pattern, support };
}

function free(leaves: readonly ArgumentUse[]): ValueRule {
  const values = valuesOf(leaves);
  const isText = values.some((value) => typeof value === "string" && !isIdentifier(value));
  const support = `${isText ? "free text" : "free"}: ${count(values.length, "value")}`;
  return { kind: "free", support };
}

function valuesOf(leaves: readonly ArgumentUse[]): readonly Json[] {
  return distinct(leaves.map(({ value }) => value));
}
