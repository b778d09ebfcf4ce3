/** `when` and every other condition: CEL text to a function of the call, or what is wrong with it and where. */
import type { Condition } from "@stepgate/core/compiler";
import { readCel } from "./cel-check.ts";
import { type Patterns, planCel } from "./cel-engine.ts";
import {
  type CelIssue,
  type CelNode,
  type CelTree,
  childrenOf,
  constantText,
  locate,
} from "./cel-syntax.ts";
import type { LinearPattern } from "./linear-pattern.ts";

/**
 * Compiles a condition (policy.md, CEL). It gives `true` or `false`, and `"error"` for whatever else comes of it: an absent
 * argument, a result of another type, more than 1,000 members, too much work. It never throws and keeps nothing.
 *
 * @example
 * const compiled = compileCel('args.amount <= 100.0 || agent_id == "treasury"');
 * if ("condition" in compiled) compiled.condition({ args: { amount: 5 }, context: {}, agent_id: "", tenant: "" }); // true
 */
export function compileCel(
  source: string,
): { readonly condition: Condition } | { readonly issues: readonly CelIssue[] } {
  const read = readCel(source);
  if ("issues" in read) return read;
  try {
    return { condition: planCel(read.tree.root, patternsOf(read.tree)) };
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    return { issues: [locate(source, { offset: 0, message: `not a condition: ${reason}` })] };
  }
}

/** The patterns that are written out in the expression. */
function patternsOf(tree: CelTree): Patterns {
  const patterns = new Map<string, LinearPattern>();
  const stack: CelNode[] = [tree.root];
  for (let node = stack.pop(); node !== undefined; node = stack.pop()) {
    stack.push(...childrenOf(node));
    const kind = node.exprKind;
    if (kind.case !== "callExpr" || kind.value.function !== "matches") continue;
    const source = constantText(kind.value.args[0]);
    if (source === undefined) continue;
    const pattern = tree.patterns.compile(source);
    if ("test" in pattern) patterns.set(source, pattern);
  }
  return patterns;
}
