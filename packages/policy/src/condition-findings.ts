/** What is wrong with the conditions of tools and functions: with their CEL, their JSON Schemas, their sources. */
import { unknownArgs } from "./cel-lint.ts";
import type { ConditionCompiler } from "./condition-compiler.ts";
import type { Finding, Path } from "./finding.ts";
import { milliseconds } from "./duration.ts";
import { groundingFindings } from "./grounding.ts";
import type { ArgumentSchema, ConditionEntries, LimitsEntry } from "./policy-document.ts";

/** A tool or function as it is written, without the members whose shape is at fault. */
export interface ConditionEntry {
  readonly path: readonly [section: "functions" | "tools", name: string];
  readonly conditions: ConditionEntries;
  /** Of a tool, the schema of its function where it has just one: both apply. */
  readonly inherited?: ArgumentSchema;
}

/** Checks what the shape of the conditions does not show, each fault where it stands. */
export function* conditionFindings(
  entries: Iterable<ConditionEntry>,
  compiler: ConditionCompiler,
): Generator<Finding> {
  for (const { conditions, inherited, path } of entries) {
    const { approval, args, grounded, limits, when } = conditions;
    if (args !== undefined) yield* schemaFindings(args, [...path, "args"], compiler);
    const schemas = [args, inherited].filter((schema) => schema !== undefined);
    if (when !== undefined) yield* textFindings(when, [...path, "when"], schemas, compiler);
    for (const [key, sources] of Object.entries(grounded ?? {}))
      yield* groundingFindings(key, sources, [...path, "grounded", key]);
    yield* limitFindings(limits ?? {}, [...path, "limits"]);
    if (approval?.when !== undefined)
      yield* textFindings(approval.when, [...path, "approval", "when"], schemas, compiler);
  }
}

function* schemaFindings(
  schema: ArgumentSchema,
  root: Path,
  compiler: ConditionCompiler,
): Generator<Finding> {
  const compiled = compiler.schema(schema);
  if ("validate" in compiled) return;
  for (const issue of compiled.issues) yield { ...issue, path: [...root, ...issue.path] };
}

/** A member of `args` that the schema cannot have is a typing error: the condition could never hold. */
function* textFindings(
  text: string,
  path: Path,
  schemas: readonly ArgumentSchema[],
  compiler: ConditionCompiler,
): Generator<Finding> {
  const compiled = compiler.condition(text);
  if ("issues" in compiled) {
    for (const issue of compiled.issues) yield { ...issue, path };
    return;
  }
  for (const schema of schemas) {
    const unknown = unknownArgs(text, schema);
    for (const { hint, message, offset } of unknown)
      yield { path, offset, message, ...(hint !== undefined && { hint }) };
    if (unknown.length > 0) return;
  }
}

function* limitFindings({ calls, sum }: LimitsEntry, root: Path): Generator<Finding> {
  for (const [name, limit] of [
    ["calls", calls],
    ["sum", sum],
  ] as const) {
    if (typeof limit !== "object" || limit.window === undefined) continue;
    if (Number.isSafeInteger(milliseconds(limit.window))) continue;
    const path = [...root, name, "window"];
    yield { path, message: "window: is longer than 2^53 − 1 milliseconds" };
  }
}
