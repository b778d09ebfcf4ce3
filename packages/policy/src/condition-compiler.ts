/** Compiles each CEL text and each JSON Schema of one document once, for the checks and for the tables alike. */
import type { Condition } from "@stepgate/core/compiler";
import { compileCel } from "./cel-condition.ts";
import type { Finding } from "./finding.ts";
import { type ArgumentCheck, compileJsonSchema } from "./json-schema.ts";
import type { ArgumentSchema } from "./policy-document.ts";

/** Compiled, or what is wrong: at offsets of the text, or at paths of the schema. */
export interface ConditionCompiler {
  condition(text: string): { readonly condition: Condition } | Faults;
  schema(schema: ArgumentSchema): { readonly validate: ArgumentCheck } | Faults;
}

interface Faults {
  readonly issues: readonly Finding[];
}

/** A compiler for one document: it remembers texts, and schemas by their identity, for as long as it lives. */
export function createConditionCompiler(): ConditionCompiler {
  const conditions = new Map<string, ReturnType<ConditionCompiler["condition"]>>();
  const schemas = new Map<ArgumentSchema, ReturnType<ConditionCompiler["schema"]>>();
  return {
    condition(text) {
      // White space around a condition is no part of it, in its normal form neither.
      const source = text.trim();
      const compiled = conditions.get(source) ?? compileText(source);
      conditions.set(source, compiled);
      return "issues" in compiled ? { issues: shifted(compiled.issues, text) } : compiled;
    },
    schema(schema) {
      const compiled = schemas.get(schema) ?? compileJsonSchema(schema);
      schemas.set(schema, compiled);
      return compiled;
    },
  };
}

function compileText(source: string): ReturnType<ConditionCompiler["condition"]> {
  const compiled = compileCel(source);
  if ("condition" in compiled) return compiled;
  return {
    issues: compiled.issues.map(({ offset, message, hint }) => ({
      path: [],
      offset,
      message,
      ...(hint !== undefined && { hint }),
    })),
  };
}

function shifted(issues: readonly Finding[], text: string): readonly Finding[] {
  const blank = text.length - text.trimStart().length;
  return issues.map((issue) => ({ ...issue, offset: (issue.offset ?? 0) + blank }));
}
