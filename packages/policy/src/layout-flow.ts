/** What fits on one line: short lists, small maps. */
import type { Path } from "./finding.ts";
import { inPageOrder } from "./layout-order.ts";
import type { Collection, LayoutValue, ScalarValue } from "./layout-tree.ts";

/** Columns that a line may have where the layout has a choice. */
export const WIDTH = 100;

/** How a language writes a value on one line. */
export interface FlowSyntax {
  key(name: string): string;
  /** Nothing for a scalar that needs lines of its own. */
  scalar(value: ScalarValue): string | undefined;
  /** True for a collection in which something, such as a comment, needs a line of its own. */
  isOpen(collection: Collection): boolean;
}

/** Maps that may stand within one another on a line. */
const LEVELS = 2;

/** A small value on one line of at most `room` characters; nothing where it needs more. */
export function flowText(
  value: LayoutValue,
  path: Path,
  room: number,
  syntax: FlowSyntax,
): string | undefined {
  // The sections of a policy always have lines of their own.
  return textOf(value, path, room, syntax, path.length === 1 ? 0 : LEVELS);
}

function textOf(
  value: LayoutValue,
  path: Path,
  room: number,
  syntax: FlowSyntax,
  levels: number,
): string | undefined {
  if (value.kind === "scalar") return syntax.scalar(value);
  if (syntax.isOpen(value)) return undefined;
  if (value.entries.length === 0) return value.kind === "map" ? "{}" : "[]";
  const isRow =
    value.kind === "list" && value.entries.every((item) => item.value.kind === "scalar");
  if (!isRow && (levels === 0 || (value.kind === "list" && !isListOfSingles(value))))
    return undefined;
  const parts: string[] = [];
  let length = value.kind === "map" ? 2 : 0;
  for (const [index, { key, value: member }] of inPageOrder(value.entries, path).entries()) {
    const text = textOf(member, [...path, key ?? index], room, syntax, isRow ? levels : levels - 1);
    if (text === undefined) return undefined;
    const part = key === undefined ? text : `${syntax.key(key)}: ${text}`;
    length += part.length + 2;
    if (length > room) return undefined;
    parts.push(part);
  }
  return value.kind === "map" ? `{ ${parts.join(", ")} }` : `[${parts.join(", ")}]`;
}

/** Maps of several members read better one a line. */
function isListOfSingles({ entries }: Collection): boolean {
  return entries.every(({ value }) => value.kind === "scalar" || value.entries.length < 2);
}
