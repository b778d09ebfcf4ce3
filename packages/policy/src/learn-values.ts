/** What the values of one argument let one require: that they come from the context, are some of few, or have a form. */
import type { Json, JsonObject } from "@stepgate/core";
import { compileGrounding, groundingFindings } from "./grounding.ts";
import { readValue } from "./grounding-values.ts";
import { isArray, isObject } from "./json-schema-members.ts";
import { commonPattern } from "./learn-patterns.ts";

/** An argument as one call gave it. */
export interface ArgumentUse {
  readonly run: number;
  readonly value: Json;
  readonly context: JsonObject;
}

/** What is required of an argument, beside its type; `support` says why, for people. */
export type ValueRule =
  | {
      readonly kind: "grounded";
      readonly from: readonly (string | readonly string[])[];
      readonly support: string;
    }
  | { readonly kind: "enum"; readonly values: readonly Json[]; readonly support: string }
  | { readonly kind: "pattern"; readonly pattern: string; readonly support: string }
  | { readonly kind: "free"; readonly support: string };

/** What else one knows of an argument. */
export interface ArgumentPlace {
  readonly name: string;
  /** Its default, which need not be grounded. */
  readonly standard: Json | undefined;
  /** Whether what it is given to only reads. */
  readonly reads: boolean;
}

/** Chooses by counts alone. */
export function valueRule(uses: readonly ArgumentUse[], place: ArgumentPlace): ValueRule {
  const leaves = uses.map((use) =>
    leavesOf(use.value)?.map((value): ArgumentUse => ({ ...use, value })),
  );
  if (leaves.includes(undefined))
    return { kind: "free", support: "objects in a list, by their schema" };
  const values = leaves.flatMap((list) => list ?? []);
  return (
    groundedRule(uses, values, place) ??
    (place.reads ? undefined : (enumRule(values) ?? patternRule(values))) ?? {
      kind: "free",
      support: `free: ${countText(values)}`,
    }
  );
}

/** The scalars of a value; nothing where objects hold them, which no rule here looks into. */
function leavesOf(value: Json): readonly Json[] | undefined {
  if (isArray(value)) {
    const leaves = value.map(leavesOf);
    return leaves.includes(undefined) ? undefined : leaves.flatMap((list) => list ?? []);
  }
  return isObject(value) ? undefined : [value];
}

/** One word, and not of letters alone: an address, a path, a number of an account, `ORDER-17`. */
function isIdentifier(value: Json): value is string {
  return typeof value === "string" && /^\S+$/u.test(value) && /[^\p{L}'’!?,;]/u.test(value);
}

function isAddress(value: Json): boolean {
  return typeof value === "string" && readValue(value)?.kind === "url";
}

/** Distinct values that one trusts to be no coincidence, of what is no identifier. */
const ENOUGH_TEXTS = 3;

function groundedRule(
  uses: readonly ArgumentUse[],
  values: readonly ArgumentUse[],
  { name, reads, standard }: ArgumentPlace,
): ValueRule | undefined {
  if (name.includes(".") || values.length === 0) return undefined;
  const sources = sourcesOf(values);
  const grounded = values.filter((use) => sources.some((source) => holds(source, use)));
  const others = values.filter((use) => !grounded.includes(use));
  const allIdentify = values.every(({ value }) => isIdentifier(value));
  if (!allIdentify && (others.length > 0 || distinct(values).length < ENOUGH_TEXTS))
    return undefined;
  if (others.length > 0 && !isClosed(others)) return undefined;
  // What may be read is free, but an address also sends: to whom, and what stands in it.
  if (reads && others.some(({ value }) => !isAddress(value))) return undefined;
  const literals = distinct(others).filter((value) => typeof value === "string");
  const from = [...sources, ...(literals.length > 0 ? [literals] : [])];
  if (from.length === 0 || [...groundingFindings(name, from, [])].length > 0) return undefined;
  const condition = compileGrounding(name, from, { default: standard });
  const takes = ({ value, context }: ArgumentUse): boolean =>
    condition({ args: { [name]: value }, context, agent_id: "", tenant: "" }) === true;
  if (!uses.every(takes)) return undefined;
  const support = [
    ...(sources.length > 0
      ? [`${grounded.length} of ${values.length} values in ${sources.join(", ")}`]
      : []),
    ...(literals.length > 0 ? [`${literals.length} listed: ${closedText(others)}`] : []),
  ];
  return { kind: "grounded", from, support: support.join("; ") };
}

/** Members of the contexts in which some value occurs. */
function sourcesOf(values: readonly ArgumentUse[]): readonly string[] {
  const names = [...new Set(values.flatMap(({ context }) => Object.keys(context)))].toSorted();
  return names
    .filter((name) => name !== "" && !name.includes("."))
    .map((name) => `context.${name}`)
    .filter((source) => values.some((use) => holds(source, use)));
}

function holds(source: string, { value, context }: ArgumentUse): boolean {
  return (
    compileGrounding("value", source)({ args: { value }, context, agent_id: "", tenant: "" }) ===
    true
  );
}

function isClosed(values: readonly ArgumentUse[]): boolean {
  const { single, several } = recurrence(values);
  return several > 0 && single <= several;
}

/** How many values only one run has, and how many several have. */
function recurrence(values: readonly ArgumentUse[]): {
  readonly single: number;
  readonly several: number;
} {
  const runs = [...Map.groupBy(values, ({ value }) => JSON.stringify(value)).values()].map(
    (uses) => new Set(uses.map(({ run }) => run)).size,
  );
  return { single: runs.filter((n) => n === 1).length, several: runs.filter((n) => n > 1).length };
}

function closedText(values: readonly ArgumentUse[]): string {
  const { single, several } = recurrence(values);
  return `${several} in several runs, ${single} in one`;
}

const FEWEST_FOR_ENUM = 3;

function enumRule(values: readonly ArgumentUse[]): ValueRule | undefined {
  const runs = new Set(values.map(({ run }) => run)).size;
  if (runs < FEWEST_FOR_ENUM || !isClosed(values)) return undefined;
  if (values.some(({ value }) => typeof value === "string" && !/^\S+$/u.test(value)))
    return undefined;
  const listed = distinct(values);
  return {
    kind: "enum",
    values: listed,
    support: `${closedText(values)}, of ${runs}`,
  };
}

function patternRule(values: readonly ArgumentUse[]): ValueRule | undefined {
  const texts = distinct(values).filter((value) => typeof value === "string");
  if (texts.length !== distinct(values).length) return undefined;
  const pattern = commonPattern(texts);
  return pattern === undefined
    ? undefined
    : { kind: "pattern", pattern, support: `the form of ${countText(values)}` };
}

function distinct(values: readonly ArgumentUse[]): readonly Json[] {
  return [...new Map(values.map(({ value }) => [JSON.stringify(value), value])).values()];
}

function countText(values: readonly ArgumentUse[]): string {
  return `${distinct(values).length} values in ${new Set(values.map(({ run }) => run)).size} runs`;
}
