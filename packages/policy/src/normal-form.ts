/** The normal form of a policy, over which its digest is taken: one contract, one text, however it was spelled (policy.md, Identity). */
import type { PolicyDocument } from "./policy-schema.ts";
import { printSequence, type Sequence } from "./sequence-grammar.ts";

/** A contract with every short form written out and every default left out. It is itself a valid policy document. */
export interface NormalForm {
  readonly schema: "stepgate.policy/1";
  readonly id: string;
  readonly version: string;
  readonly sequence: string;
  readonly functions: Readonly<Record<string, NormalFunction>>;
  readonly tools?: Readonly<Record<string, NormalTool>>;
  readonly sealOn?: readonly string[];
  readonly freshness?: number;
  readonly lifetime?: number;
}

/** A function; without `step` it belongs to the step of its own name. */
interface NormalFunction {
  readonly actions: readonly string[];
  readonly step?: string;
}

/** A tool; a single function is a name, several are a list in the order of the policy. */
interface NormalTool {
  readonly function: string | readonly string[];
  readonly action: string;
  readonly audience?: string;
}

/** How far a caller's clock may be off, unless the policy says otherwise: 300 s. */
export const DEFAULT_FRESHNESS_MS = 300_000;
/** How long a sequence lives, unless the policy says otherwise: 24 h. */
export const DEFAULT_LIFETIME_MS = 86_400_000;

/** Writes a checked document in its normal form; `tests` are no part of the contract. */
export function normalForm(document: PolicyDocument, order: Sequence): NormalForm {
  const freshness = milliseconds(document.freshness ?? DEFAULT_FRESHNESS_MS);
  const lifetime = milliseconds(document.lifetime ?? DEFAULT_LIFETIME_MS);
  const tools = sortedEntries(document.tools ?? {}, normalTool);
  const sealOn = asSet(document.sealOn ?? []);
  return {
    schema: document.schema,
    id: document.id,
    version: document.version,
    sequence: printSequence(order),
    functions: sortedEntries(document.functions, normalFunction),
    ...(Object.keys(tools).length > 0 && { tools }),
    ...(sealOn.length > 0 && { sealOn }),
    ...(freshness !== DEFAULT_FRESHNESS_MS && { freshness }),
    ...(lifetime !== DEFAULT_LIFETIME_MS && { lifetime }),
  };
}

const UNITS: Readonly<Record<string, number>> = {
  ms: 1,
  s: 1000,
  m: 60_000,
  h: 3_600_000,
  d: 86_400_000,
};

/** `"300s"` and `300000` alike as milliseconds; not a safe integer where the text asks for more. */
export function milliseconds(duration: string | number): number {
  if (typeof duration === "number") return duration;
  const unit = duration.replace(/^[0-9]+/, "");
  return Number.parseInt(duration, 10) * (UNITS[unit] ?? Number.NaN);
}

function normalFunction(entry: PolicyDocument["functions"][string], name: string): NormalFunction {
  const { actions, step = name } = isList(entry) ? { actions: entry } : entry;
  return step === name ? { actions: asSet(actions) } : { actions: asSet(actions), step };
}

function normalTool(entry: NonNullable<PolicyDocument["tools"]>[string]): NormalTool {
  const [first, ...others] = isList(entry.function) ? entry.function : [entry.function];
  const functions = first !== undefined && others.length === 0 ? first : [entry.function].flat();
  return {
    function: functions,
    action: entry.action,
    ...(entry.audience !== undefined && { audience: entry.audience }),
  };
}

function sortedEntries<T, U>(
  entries: Readonly<Record<string, T>>,
  normalize: (entry: T, name: string) => U,
): Readonly<Record<string, U>> {
  const names = Object.keys(entries).toSorted(byCodeUnit);
  return Object.fromEntries(
    names.flatMap((name) =>
      Object.hasOwn(entries, name) ? [[name, normalize(entries[name] as T, name)]] : [],
    ),
  );
}

/** Sorted by code unit, each once. */
function asSet(names: readonly string[]): readonly string[] {
  return [...new Set(names)].toSorted(byCodeUnit);
}

function byCodeUnit(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

function isList<T>(value: T): value is Extract<T, readonly unknown[]> {
  return Array.isArray(value);
}
