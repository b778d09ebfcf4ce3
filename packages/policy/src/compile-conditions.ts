/** What stands on a tool or function to the closures that the gate calls (policy.md, Level 2). */
import {
  type CompiledConditions,
  type CompiledLimit,
  type Condition,
  type Json,
  toDecimal,
} from "@stepgate/core/compiler";
import { byCodeUnit, sortedEntries } from "./code-unit-order.ts";
import type { ConditionCompiler } from "./condition-compiler.ts";
import { compileGrounding } from "./grounding.ts";
import type { NormalConditions, NormalLimit } from "./normal-conditions.ts";
import type { ArgumentSchema } from "./policy-document.ts";

/** Where conditions stand, and what they are compiled with. */
export interface ConditionPlace {
  /** How rules begin, such as `tools.transfer_funds`. */
  readonly path: string;
  /** The default of the argument at a dotted path, if it has one: a value that equals it need not be grounded. */
  defaultOf(path: string): Json | undefined;
  readonly compiler: ConditionCompiler;
}

/** Compiles the conditions of a checked entry; nothing where it has none. */
export function compileConditions(
  entry: NormalConditions,
  place: ConditionPlace,
): CompiledConditions | undefined {
  const { approval, args, bind, grounded, limits, when } = entry;
  const narrows = [args, when, grounded, bind, limits, approval];
  if (narrows.every((member) => member === undefined)) return undefined;
  return {
    path: place.path,
    ...(args !== undefined && { args: compileSchema(args, place) }),
    ...(when !== undefined && { when: compileWhen(when, place) }),
    grounded: sortedEntries(grounded).map(([path, sources]) => ({
      path,
      holds: compileGrounding(path, sources, { default: place.defaultOf(path) }),
    })),
    bind: sortedEntries(bind).map(([name, of]) => ({ name, of: argumentNames(of) })),
    ...(limits?.calls && { calls: compileLimit(limits.calls) }),
    ...(limits?.sum && {
      sum: { ...compileLimit(limits.sum), of: argumentNames(limits.sum.of) },
    }),
    ...(approval && {
      approval: {
        count: approval.count ?? 1,
        by: new Set(approval.by.toSorted(byCodeUnit)),
        ...(approval.when !== undefined && { when: compileWhen(approval.when, place) }),
      },
    }),
  };
}

/** `args.items.id` as the names under `args`; a name with a dot in it has no path. */
export function argumentNames(path: string): readonly string[] {
  return path.split(".").slice(1);
}

function compileSchema(
  schema: ArgumentSchema,
  { compiler, path }: ConditionPlace,
): NonNullable<CompiledConditions["args"]> {
  const compiled = compiler.schema(schema);
  if ("validate" in compiled) return compiled.validate;
  throw new TypeError(`${path}.args was not checked: ${compiled.issues[0]?.message}`);
}

function compileWhen(text: string, { compiler, path }: ConditionPlace): Condition {
  const compiled = compiler.condition(text);
  if ("condition" in compiled) return compiled.condition;
  throw new TypeError(`a condition of ${path} was not checked: ${compiled.issues[0]?.message}`);
}

function compileLimit({ max, per, window }: NormalLimit): CompiledLimit {
  return {
    max: toDecimal(max),
    ...(per !== undefined && { per }),
    ...(window !== undefined && { windowMs: window }),
  };
}
