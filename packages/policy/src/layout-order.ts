/** The order in which the members of a policy are laid out, or of a file of tests: that of the language's page. */
import type { Path } from "./finding.ts";
import type { Entry } from "./layout-tree.ts";

const CONDITIONS = ["args", "when", "grounded", "ungrounded", "bind", "limits", "approval"];

/** By place; `*` stands for any name or index. */
const ORDERS: Readonly<Record<string, readonly string[]>> = {
  "": [
    "schema",
    "id",
    "version",
    "sequence",
    "functions",
    "tools",
    "constraints",
    "forbid",
    "agents",
    "sealOn",
    "freshness",
    "lifetime",
    "policy", // of a file of tests
    "tests",
  ],
  "sequence.*": ["step", "optional", "min", "max"],
  "functions.*": ["step", "actions", "audience", ...CONDITIONS],
  "tools.*": ["function", "action", "audience", ...CONDITIONS],
  "tests.*": ["name", "context", "agent_id", "tenant", "calls"],
  "tests.*.calls.*": ["tool", "function", "action_type", "step", "args", "agent_id", "expect"],
};

/** The entries in order; what the language does not know, or does not order, stays as it is, behind what it does. */
export function inPageOrder(entries: readonly Entry[], path: Path): readonly Entry[] {
  const order = ORDERS[path.map((part, depth) => (depth % 2 === 1 ? "*" : part)).join(".")];
  if (order === undefined) return entries;
  const rank = ({ key = "" }: Entry): number => {
    const index = order.indexOf(key);
    return index < 0 ? order.length : index;
  };
  return entries.toSorted((a, b) => rank(a) - rank(b));
}
