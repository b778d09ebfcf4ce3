/** How a policy picks calls: a bare name is a function, else one of `{ function | step | action | tool: name }`. */
import type { CallSelector } from "@stepgate/core/compiler";
import type { SelectorEntry } from "./policy-document.ts";

/** The member that a selector looks at, and the name that it looks for. */
export function callSelector(entry: SelectorEntry): CallSelector {
  if (typeof entry === "string") return { member: "function", name: entry };
  for (const [member, name] of [
    ["function", entry.function],
    ["step", entry.step],
    ["action_type", entry.action],
    ["tool", entry.tool],
  ] as const)
    if (name !== undefined) return { member, name };
  // Checked by its shape; and a selector that picks nothing would let everything pass.
  throw new TypeError("a selector must have one member");
}

/** How a policy spells each member. */
export const SELECTOR_MEMBERS: Readonly<Record<CallSelector["member"], string>> = {
  function: "function",
  step: "step",
  action_type: "action",
  tool: "tool",
};
