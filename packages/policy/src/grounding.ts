/** One entry of `grounded` to a condition: a value of the arguments must occur in what the application vouches for (policy.md, grounded). */
import {
  canonicalize,
  type Condition,
  type Json,
  type JsonObject,
  type Scope,
} from "@stepgate/core/compiler";
import { type Finding, type Path, pathText } from "./finding.ts";
import { contextSource, type GroundingSource, leafSource, textSource } from "./grounding-source.ts";
import { type GroundedValue, readValue } from "./grounding-values.ts";
import { PolicyError } from "./policy-error.ts";
import { didYouMean } from "./spelling.ts";

/** A context path such as `context.request`, or a literal list of what is allowed. */
export type GroundingOrigin = string | readonly (string | number)[];

/** How a source is compared, where not by the value's own kind alone. */
export type GroundingMatch = "host" | "under" | "text";

/** What stands behind one path of `grounded`, as it is written. */
export type GroundingEntry =
  | string
  | readonly GroundingOrigin[]
  | { readonly from: string | readonly GroundingOrigin[]; readonly match?: GroundingMatch };

/** The same with its short forms written out (policy.md, Identity). */
export type NormalGrounding =
  | readonly GroundingOrigin[]
  | { readonly from: readonly GroundingOrigin[]; readonly match: GroundingMatch };

/** What the entry does not say itself. */
export interface GroundingOptions {
  /** The argument's default in its schema; a value that equals it is not checked. */
  readonly default?: Json | undefined;
}

/**
 * Compiles one entry; `path` is its key, a dotted path under `args`. The condition is pure and linear in the sizes of
 * arguments and context; it holds where the argument is absent. A context is never changed in place: what was read of
 * it is kept with the object.
 *
 * @throws PolicyError with every fault that {@link groundingFindings} names, by paths from `grounded` on.
 * @example compileGrounding("to", ["context.request", ["GB29NWBK60161331926819"]]);
 */
export function compileGrounding(
  path: string,
  entry: GroundingEntry,
  options: GroundingOptions = {},
): Condition {
  const faults = [...groundingFindings(path, entry, ["grounded", path])];
  if (faults.length > 0)
    throw new PolicyError(
      faults.map(({ path: at, message, hint }) => ({
        path: pathText(at),
        message,
        ...(hint !== undefined && { hint }),
      })),
    );
  const form = normalGrounding(entry);
  const { from, match } = isList(form) ? { from: form, match: undefined } : form;
  const sources = from.map((origin) => compileOrigin(origin, match));
  const names = path.split(".");
  const standard = options.default === undefined ? undefined : canonicalize(options.default);
  return ({ args, context }: Scope): boolean => {
    const found = follow(args, names);
    if ("absent" in found) return found.absent;
    if (standard !== undefined && canonicalize(found.value) === standard) return true;
    const open = sources.map((source) => source(context));
    return isGrounded(found.value, (value) => open.some((source) => occurs(value, source, match)));
  };
}

/** Writes out the short forms: a single source is a list of one, and `{ from }` without `match` is the list. */
export function normalGrounding(entry: GroundingEntry): NormalGrounding {
  if (typeof entry === "string") return [entry];
  if (isList(entry)) return entry;
  const from = typeof entry.from === "string" ? [entry.from] : entry.from;
  return entry.match === undefined ? from : { from, match: entry.match };
}

/**
 * Every fault of one entry, each at the member that has it. `root` is where the entry stands, such as
 * `["tools", "pay", "grounded", "to"]`. Spellings that parsing has lost are {@link literalSpellingFault}'s to find.
 */
export function* groundingFindings(path: string, entry: unknown, root: Path): Generator<Finding> {
  yield* keyFindings(path, root);
  if (!isObject(entry)) return yield* originsFindings(entry, root);
  const known = ["from", "match"];
  for (const key of Object.keys(entry)) {
    if (known.includes(key)) continue;
    const message = `unknown key '${key}'`;
    yield { path: [...root, key], message, on: "key", ...didYouMean(key, known) };
  }
  if (Object.hasOwn(entry, "from")) yield* originsFindings(entry["from"], [...root, "from"]);
  else yield { path: root, message: "'from' is missing" };
  if (Object.hasOwn(entry, "match")) yield* matchFindings(entry["match"], [...root, "match"]);
}

/**
 * What is wrong with the spelling of a number in a literal list, given as the policy's text has it: only there can
 * `007`, `1e3` and `0x10` be told from 7, 1000 and 16. Nothing where the spelling is canonical.
 */
export function literalSpellingFault(written: string): string | undefined {
  const canonical = /^(?:0|-?[1-9][0-9]*)$/.test(written);
  if (canonical && Number.isSafeInteger(Number(written))) return undefined;
  return canonical
    ? `${written} is beyond 2^53 − 1 and would lose digits: quote it`
    : `${written} is no whole number in its plain spelling: quote it`;
}

const MATCHES: readonly string[] = ["host", "under", "text"] satisfies readonly GroundingMatch[];

/** What can stand in the `rule` of a receipt, which has at most 400 characters with the tool's name before it. */
const NAMEABLE = /^[^\p{Cc}]{1,200}$/u;

function* keyFindings(path: string, root: Path): Generator<Finding> {
  if (path.split(".").includes("")) {
    yield { path: root, message: "a key of grounded is a dotted path under args", on: "key" };
  } else if (path.startsWith("args.")) {
    // It would look for a member `args` of the arguments, find none, and check nothing.
    const hint = `write '${path.slice(5)}'`;
    yield { path: root, message: "a key of grounded is under args already", on: "key", hint };
  } else if (!NAMEABLE.test(path)) {
    const message =
      "a key of grounded has at most 200 characters, none of them a control character";
    yield { path: root, message, on: "key" };
  }
}

function* originsFindings(origins: unknown, at: Path): Generator<Finding> {
  if (typeof origins === "string") return yield* originFindings(origins, at);
  if (!Array.isArray(origins)) {
    yield { path: at, message: "must be a source, a list of sources, or { from, match }" };
  } else if (origins.length === 0) {
    yield { path: at, message: "an empty list of sources grounds nothing" };
  } else
    for (const [index, origin] of origins.entries()) yield* originFindings(origin, [...at, index]);
}

function* originFindings(origin: unknown, at: Path): Generator<Finding> {
  if (typeof origin === "string") return yield* contextPathFindings(origin, at);
  if (!Array.isArray(origin)) {
    yield {
      path: at,
      message: "a source is a path such as context.request, or a list of literals",
    };
  } else if (origin.length === 0) {
    yield { path: at, message: "an empty list of literals grounds nothing" };
  } else for (const [index, item] of origin.entries()) yield* literalFindings(item, [...at, index]);
}

function* contextPathFindings(origin: string, at: Path): Generator<Finding> {
  const [root = "", ...names] = origin.split(".");
  if (root === "context" && names.length > 0 && !names.includes("")) return;
  const meant = names.length > 0 ? didYouMean(root, ["context"]) : undefined;
  const hint = "a literal stands in a list of its own: [[…]]";
  const message = `'${origin}' is no source: a source is a path such as context.request`;
  yield { path: at, message, ...(root === "context" ? {} : (meant ?? { hint })) };
}

function* literalFindings(item: unknown, at: Path): Generator<Finding> {
  if (typeof item === "string") return;
  if (typeof item !== "number") {
    yield { path: at, message: "a literal is a string or a whole number" };
  } else if (!Number.isSafeInteger(item) || Object.is(item, -0)) {
    yield { path: at, message: "a number must be whole and within ±(2^53 − 1): quote it" };
  }
}

function* matchFindings(match: unknown, at: Path): Generator<Finding> {
  if (typeof match === "string" && MATCHES.includes(match)) return;
  const hint = typeof match === "string" ? didYouMean(match, MATCHES) : undefined;
  yield { path: at, message: "match: must be host, under or text", ...hint };
}

/** A source for each context; a literal list is read once. */
function compileOrigin(
  origin: GroundingOrigin,
  match: GroundingMatch | undefined,
): (context: JsonObject) => GroundingSource {
  const asTexts = match === "text";
  if (typeof origin === "string") {
    const names = origin.split(".").slice(1);
    return (context) => contextSource(context, names, asTexts);
  }
  const source = asTexts ? textSource(origin.map(String)) : leafSource(origin);
  return () => source;
}

/**
 * The argument at a path, or how its absence counts. A path that leads through a list or a scalar is not absent but
 * cannot be looked at, and what cannot be looked at is not grounded: else `items: ["x"]` would pass for `items.url`.
 */
function follow(
  args: JsonObject,
  names: readonly string[],
): { readonly value: Json } | { readonly absent: boolean } {
  let value: Json = args;
  for (const name of names) {
    if (!isObject(value)) return { absent: false };
    if (!Object.hasOwn(value, name)) return { absent: true };
    value = value[name] as Json;
  }
  return { value };
}

/** Every scalar leaf and every key, by a stack of its own, so that no depth can exhaust the program's. */
function isGrounded(root: Json, test: (value: GroundedValue) => boolean): boolean {
  const stack: Json[] = [root];
  const passed = new Set<string | number>();
  while (stack.length > 0) {
    const value = stack.pop();
    if (typeof value === "object" && value !== null) {
      const members = isList(value) ? value : Object.entries(value).flat();
      if (members.length === 0) return false;
      for (const member of members) stack.push(member);
    } else if (typeof value !== "string" && typeof value !== "number") {
      return false;
    } else if (!passed.has(value)) {
      const read = readValue(value);
      if (read === undefined || !test(read)) return false;
      passed.add(value);
    }
  }
  return true;
}

function occurs(
  value: GroundedValue,
  source: GroundingSource,
  match: GroundingMatch | undefined,
): boolean {
  switch (value.kind) {
    case "number":
      return source.hasDecimal(value.decimal);
    case "url":
      return match === "host" ? source.hasHost(value.url) : source.hasUrl(value.url);
    case "date":
      return source.hasDate(value.day);
    case "path":
      return match === "under" ? source.hasAbove(value.path) : source.hasPath(value.path);
    case "text":
      return source.hasText(value.text);
  }
}

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function isList<T>(value: T): value is Extract<T, readonly unknown[]> {
  return Array.isArray(value);
}
