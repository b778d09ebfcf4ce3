/** Whether the values of an argument came from the context, or are some few that came back. */
import type { Json } from "@stepgate/core/compiler";
import { compileGrounding, type GroundingOrigin, groundingFindings } from "./grounding.ts";
import { readValue } from "./grounding-values.ts";
import { type ArgumentUse, count, distinct, isClosed, recurrenceText } from "./learn-counts.ts";

/** What else one knows of an argument. */
export interface ArgumentPlace {
  readonly name: string;
  /** Its default, which need not be grounded. */
  readonly standard: Json | undefined;
  /** Whether what it is given to only reads. */
  readonly reads: boolean;
  /** Runs that call it, with this argument or without. */
  readonly runs: number;
}

/** Sources that ground every value, and why they were chosen. */
export interface LearnedGrounding {
  readonly kind: "grounded";
  readonly from: readonly GroundingOrigin[];
  readonly support: string;
}

/** Distinct values that are no coincidence, where they identify nothing. */
const ENOUGH_TEXTS = 3;

/** Sources of all values, `leaves` being their scalars; nothing where they came from elsewhere too, or may only seem to. */
export function learnGrounding(
  uses: readonly ArgumentUse[],
  leaves: readonly ArgumentUse[],
  { name, reads, standard }: ArgumentPlace,
): LearnedGrounding | undefined {
  const sources = sourcesOf(leaves);
  const others = leaves.filter((use) => !sources.some((source) => holds(source, use)));
  const identify = leaves.every(({ value }) => isIdentifier(value));
  const varied = distinct(leaves.map(({ value }) => value)).length >= ENOUGH_TEXTS;
  if (!identify && (others.length > 0 || !varied)) return undefined;
  if (others.length > 0 && !isClosed(others)) return undefined;
  // What is read is free. But an address also sends: to somebody, what stands in it.
  if (reads && others.some(({ value }) => !isAddress(value))) return undefined;
  const listed = distinct(others.map(({ value }) => value)).filter(isIdentifier);
  const from = [...sources, ...(listed.length > 0 ? [listed] : [])];
  if (!groundsAll(name, from, uses, standard)) return undefined;
  const found = leaves.length - others.length;
  const support = [
    ...(found > 0 ? [`${found} of ${count(leaves.length, "value")} in ${sources.join(", ")}`] : []),
    ...(listed.length > 0 ? [`${listed.length} listed, ${recurrenceText(others)}`] : []),
  ];
  return { kind: "grounded", from, support: support.join("; ") };
}

/** Members of the contexts in which some value occurs. */
function sourcesOf(leaves: readonly ArgumentUse[]): readonly string[] {
  const names = [...new Set(leaves.flatMap(({ context }) => Object.keys(context)))].toSorted();
  return names
    .filter((name) => SAYABLE.test(name))
    .map((name) => `context.${name}`)
    .filter((source) => leaves.some((use) => holds(source, use)));
}

/** Names that a path can have, and a comment. */
const SAYABLE = /^[\p{L}\p{N}_-]{1,100}$/u;

function holds(source: string, use: ArgumentUse): boolean {
  return isGrounded(compileGrounding("value", source), "value", use);
}

function isGrounded(
  condition: ReturnType<typeof compileGrounding>,
  name: string,
  { context, value }: ArgumentUse,
): boolean {
  return condition({ args: { [name]: value }, context, agent_id: "", tenant: "" }) === true;
}

/** Whether the policy would take every value; of a name with a dot it would look elsewhere. */
function groundsAll(
  name: string,
  from: readonly GroundingOrigin[],
  uses: readonly ArgumentUse[],
  standard: Json | undefined,
): boolean {
  if (name.includes(".") || [...groundingFindings(name, from, [])].length > 0) return false;
  const condition = compileGrounding(name, from, { default: standard });
  return uses.every((use) => isGrounded(condition, name, use));
}

const LONGEST_IDENTIFIER = 400;

/** One word and not of letters alone: an address, a path, an account, `ORDER-17`. No day, for the next one is as good. */
export function isIdentifier(value: Json): value is string {
  if (typeof value !== "string" || value.length > LONGEST_IDENTIFIER) return false;
  const isDay = /^[0-9]{4}-[0-9]{2}-[0-9]{2}/.test(value);
  return !isDay && isWord(value) && /[^\p{L}'’!?,;]/u.test(value);
}

/** Whether there is no white space in it. */
export function isWord(text: string): boolean {
  return /^\S+$/u.test(text);
}

function isAddress(value: Json): boolean {
  return typeof value === "string" && readValue(value)?.kind === "url";
}
