/** What of a faulty document can still be looked at, so that one fault hides no other and brings up none. */
import type { ConditionEntry } from "./condition-findings.ts";
import { conditionMembers } from "./condition-schema.ts";
import { type Finding, isWithin, type Path } from "./finding.ts";
import type {
  ArgumentSchema,
  ConditionEntries,
  FunctionEntry,
  PolicyDocument,
} from "./policy-document.ts";

/** A document of which any part may be missing, and what is there has its shape. */
export type SoundParts = Partial<PolicyDocument>;

/**
 * The document without what has the wrong shape. A faulty function keeps its name and its step, so that its fault does
 * not bring up others: it stands for one that permits nothing.
 */
export function soundParts(value: unknown, faults: readonly Finding[]): SoundParts {
  const parts: Record<string, unknown> = {};
  const isFaulty = (...path: readonly string[]): boolean =>
    faults.some((fault) => isWithin(fault.path, path) && !isCondition(fault.path));
  for (const [section, content] of membersOf(value)) {
    if (faults.some(({ path }) => path.length === 1 && path[0] === section)) continue;
    const entries = membersOf(content);
    if (section === "functions") {
      const functions = entries.map(
        ([name, entry]) => [name, isFaulty(section, name) ? standIn(name, entry) : entry] as const,
      );
      parts[section] = Object.fromEntries(functions);
    } else if (section === "tools" || section === "agents") {
      parts[section] = Object.fromEntries(entries.filter(([name]) => !isFaulty(section, name)));
    } else if (!isFaulty(section)) parts[section] = content;
  }
  // The shape is that of the type but for what was found, and that is left out.
  return parts;
}

/** The conditions of every tool and function, faulty or not, without what of them has the wrong shape. */
export function* conditionEntries(
  value: unknown,
  faults: readonly Finding[],
): Generator<ConditionEntry> {
  const conditionsOf = (path: Path, entry: unknown): ConditionEntries => {
    const here = faults.filter((fault) => isWithin(fault.path, path));
    const conditions = membersOf(entry).filter(([name]) => CONDITIONS.has(name));
    return Object.fromEntries(soundMembers(conditions, path, here));
  };
  const sections = new Map(membersOf(value));
  const schemas = new Map<unknown, ArgumentSchema | undefined>();
  for (const [name, entry] of membersOf(sections.get("functions"))) {
    const path = ["functions", name] as const;
    const conditions = conditionsOf(path, entry);
    schemas.set(name, conditions.args);
    yield { path, conditions };
  }
  for (const [name, entry] of membersOf(sections.get("tools"))) {
    const path = ["tools", name] as const;
    const [fn, second] = [memberOf(entry, "function")].flat();
    const inherited = second === undefined ? schemas.get(fn) : undefined;
    const conditions = conditionsOf(path, entry);
    yield { path, conditions, ...(inherited !== undefined && { inherited }) };
  }
}

/** Without the members that a fault points at; what has no fault in it stays the same object. */
function soundMembers(
  entries: readonly [string, unknown][],
  path: Path,
  faults: readonly Finding[],
): readonly [string, unknown][] {
  return entries.flatMap(([name, member]) => {
    const at = [...path, name];
    const here = faults.filter((fault) => isWithin(fault.path, at));
    if (here.some((fault) => fault.path.length === at.length)) return [];
    if (here.length === 0 || Array.isArray(member)) return [[name, member]];
    return [[name, Object.fromEntries(soundMembers(membersOf(member), at, here))]];
  });
}

const CONDITIONS: ReadonlySet<string> = new Set(Object.keys(conditionMembers));

/** A fault in a condition leaves the rest of its tool or function sound. */
function isCondition([section, , member]: Path): boolean {
  return (
    (section === "functions" || section === "tools") &&
    typeof member === "string" &&
    CONDITIONS.has(member)
  );
}

function standIn(name: string, entry: unknown): FunctionEntry {
  const step = memberOf(entry, "step") ?? name;
  return { actions: [], step: typeof step === "string" ? step : "*" };
}

function memberOf(value: unknown, name: string): unknown {
  return membersOf(value).find(([member]) => member === name)?.[1];
}

function membersOf(value: unknown): readonly [string, unknown][] {
  return isObject(value) ? Object.entries(value) : [];
}

function isObject(value: unknown): value is object {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
