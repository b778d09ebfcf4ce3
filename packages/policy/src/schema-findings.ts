/** What zod found wrong with a document, as findings: one for each fault, in the words of the language. */
import type { z } from "zod";
import { type Finding, type Path, pathText } from "./finding.ts";
import { didYouMean } from "./spelling.ts";

type Issue = z.core.$ZodIssue;

/** Checks a document against a schema; no findings means that it has the schema's type. */
export function* schemaFindings(schema: z.ZodType, document: unknown): Generator<Finding> {
  const result = schema.safeParse(document);
  for (const issue of causes(result.error?.issues ?? [])) yield* findingsOf(issue, [], document);
}

/** A member that is misspelt is missing too, and only its spelling is worth a word. */
function causes(issues: readonly Issue[]): readonly Issue[] {
  const misspelt = new Set(
    issues.filter(({ code }) => code === "unrecognized_keys").map(({ path }) => path.join("\n")),
  );
  return issues.filter(({ code, path }) => code !== "custom" || !misspelt.has(path.join("\n")));
}

function* findingsOf(issue: Issue, root: Path, document: unknown): Generator<Finding> {
  const path = [
    ...root,
    ...issue.path.map((part) => (typeof part === "number" ? part : String(part))),
  ];
  if (issue.code === "unrecognized_keys") {
    for (const key of issue.keys) yield unknownKey(key, issue.message, path);
  } else if (issue.code === "invalid_key") {
    yield { path, message: issue.issues[0]?.message ?? issue.message, on: "key" };
  } else {
    const branch = issue.code === "invalid_union" ? likeliest(issue.errors) : undefined;
    if (branch === undefined) yield mismatch(path, issue.message, document);
    else for (const inner of causes(branch)) yield* findingsOf(inner, path, document);
  }
}

function unknownKey(key: string, knownNames: string, path: Path): Finding {
  return {
    path: [...path, key],
    message: `unknown key '${key}'`,
    on: "key",
    ...didYouMean(key, knownNames.split(" ")),
  };
}

/** The alternative that has the value's type and fails further in; none where the value fits no alternative at all. */
function likeliest(branches: readonly (readonly Issue[])[]): readonly Issue[] | undefined {
  return branches.find(
    (issues) => !issues.some((issue) => issue.code === "invalid_type" && issue.path.length === 0),
  );
}

function mismatch(path: Path, message: string, document: unknown): Finding {
  const name = path.at(-1);
  if (name === undefined) return { path, message: `the document ${message}` };
  if (isMissing(path, document)) return { path, message: `'${name}' is missing` };
  return { path, message: `${pathText(path)}: ${message}` };
}

function isMissing(path: Path, document: unknown): boolean {
  let value = document;
  for (const part of path) {
    if (typeof value !== "object" || value === null || !Object.hasOwn(value, part)) return true;
    value = (value as Readonly<Record<string | number, unknown>>)[part];
  }
  return value === undefined;
}
