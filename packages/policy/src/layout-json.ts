/** Lays a policy out as JSON, the same shapes on one line as in YAML. */
import type { Path } from "./finding.ts";
import { type FlowSyntax, flowText, WIDTH } from "./layout-flow.ts";
import { inPageOrder } from "./layout-order.ts";
import type { LayoutValue, ScalarValue } from "./layout-tree.ts";

/** The text of a policy; it ends with a line feed. */
export function layoutJson(root: LayoutValue): string {
  return `${valueText(root, [], 0, 0)}\n`;
}

/** `taken`: columns of the line that the value begins on. */
function valueText(value: LayoutValue, path: Path, indent: number, taken: number): string {
  if (value.kind === "scalar") return scalarText(value);
  const inline =
    path.length === 0 && value.entries.length > 0
      ? undefined
      : flowText(value, path, WIDTH - taken - 1, SYNTAX);
  if (inline !== undefined) return inline;
  const margin = " ".repeat(indent + 2);
  const lines = inPageOrder(value.entries, path).map(({ key, value: member }, index) => {
    const head = key === undefined ? margin : `${margin}${JSON.stringify(key)}: `;
    return head + valueText(member, [...path, key ?? index], indent + 2, head.length);
  });
  const [open, close] = value.kind === "map" ? ["{", "}"] : ["[", "]"];
  return `${open}\n${lines.join(",\n")}\n${" ".repeat(indent)}${close}`;
}

function scalarText({ value, source }: ScalarValue): string {
  return typeof value === "string" ? JSON.stringify(value) : source;
}

const SYNTAX: FlowSyntax = {
  key: (name) => JSON.stringify(name),
  scalar: scalarText,
  isOpen: () => false,
};
