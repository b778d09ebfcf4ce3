/** From a decision's `rule` back to the line of the policy that it came from. */
import type { Path } from "./finding.ts";
import { type Position, readDocument } from "./source-document.ts";

/**
 * Where a rule such as `functions.intake.actions` or `tools.get_order` stands in a policy's text: the member's name, or
 * the nearest one above it, since `intake: [READ]` has no member `actions`. Nothing for rules that are no member, such as `nonce`.
 */
export function locateRule(text: string, rule: string): Position | undefined {
  const { source } = readDocument(text);
  if (source === undefined) return undefined;
  const path = follow(source.value, rule);
  return path.length === 0 ? undefined : source.locate({ path, message: rule, on: "key" });
}

/** Where a step is first named in the order of a policy's text. */
export function locateStep(text: string, step: string): Position | undefined {
  const { source } = readDocument(text);
  const order = source === undefined ? undefined : memberOf(source.value, "sequence");
  const name = new RegExp(`(?<![\\w.-])${step.replaceAll(".", "\\.")}(?![\\w.-])`);
  for (const [index, item] of [order].flat().entries()) {
    const path = Array.isArray(order) ? ["sequence", index] : ["sequence"];
    const named = memberOf(item, "step");
    if (named === step) return source?.locate({ path: [...path, "step"], message: step });
    const offset = typeof item === "string" ? item.search(name) : -1;
    if (offset >= 0) return source?.locate({ path, message: step, offset });
  }
  return undefined;
}

function memberOf(value: unknown, name: string): unknown {
  return typeof value === "object" && value !== null
    ? (value as Readonly<Record<string, unknown>>)[name]
    : undefined;
}

/** Names may hold dots, so of several readings the one that leads furthest is meant. */
function follow(value: unknown, rule: string): Path {
  if (typeof value !== "object" || value === null) return [];
  let best: Path = [];
  for (const [name, member] of Object.entries(value)) {
    if (rule !== name && !rule.startsWith(`${name}.`)) continue;
    const path = [
      Array.isArray(value) ? Number(name) : name,
      ...follow(member, rule.slice(name.length + 1)),
    ];
    if (path.join(".").length > best.join(".").length) best = path;
  }
  return best;
}
