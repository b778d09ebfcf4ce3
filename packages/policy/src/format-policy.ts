/** One layout for the text of a policy: what `stepgate fmt` writes. */
import { isDeepStrictEqual } from "node:util";
import { JsonError, parseStrictJson } from "@stepgate/core/compiler";
import { tieComments } from "./layout-comments.ts";
import { layoutJson } from "./layout-json.ts";
import { type Comment, layoutTree, type LayoutValue } from "./layout-tree.ts";
import { layoutYaml } from "./layout-yaml.ts";
import { toIssues } from "./parse-policy.ts";
import { PolicyError } from "./policy-error.ts";
import { MAX_TEXT, type Position, positionIn, readDocument } from "./source-document.ts";

/**
 * The same policy in the one layout: members in the order of the language's page, every comment at what it stood at. The
 * digest and the tests stay what they are. Text is laid out as JSON where `file` ends in `.json`, or without a `file` where
 * it is JSON. What is laid out need not be a sound policy, but must be readable.
 *
 * @throws PolicyError with the place of every fault for a text that cannot be read.
 * @example await writeFile("policy.yaml", formatPolicy(await readFile("policy.yaml", "utf8"), "policy.yaml"));
 */
export function formatPolicy(text: string, file?: string): string {
  if (typeof text !== "string") throw new TypeError("the text of a policy must be a string");
  const isJson = file === undefined ? looksLikeJson(text) : file.endsWith(".json");
  if (isJson) mustBeJson(text, file);
  const before = read(text, file);
  const { tree, comments } = before;
  if (tree.kind !== "map") throw fault({ line: 1, column: 1 }, "a policy must be an object", file);
  const formatted = isJson ? layoutJson(tree) : layoutYaml(tree, tieComments(tree, comments));
  // INVARIANT: nothing is written that does not say what was read. Whatever the layout does wrong ends here.
  const after = read(formatted, file);
  if (!isDeepStrictEqual(after.value, before.value) || !sameTexts(after.comments, comments))
    throw fault({ line: 1, column: 1 }, "cannot be laid out without changing it", file);
  return formatted;
}

function looksLikeJson(text: string): boolean {
  if (!/^\s*\{/.test(text)) return false;
  try {
    mustBeJson(text, undefined);
    return true;
  } catch {
    return false;
  }
}

function mustBeJson(text: string, file: string | undefined): void {
  try {
    parseStrictJson(text, { bytes: 4 * MAX_TEXT });
  } catch (error) {
    if (!(error instanceof JsonError)) throw error;
    throw fault(positionIn(text, error.offset ?? 0), error.message, file);
  }
}

function read(
  text: string,
  file: string | undefined,
): {
  readonly value: unknown;
  readonly tree: LayoutValue;
  readonly comments: readonly Comment[];
} {
  const { source, findings } = readDocument(text);
  if (source === undefined || findings.length > 0)
    throw new PolicyError(toIssues(findings, source), named(file));
  return { value: source.value, ...layoutTree(text, source.root) };
}

/** Where comments go is what the layout decides; which there are, it does not. */
function sameTexts(after: readonly Comment[], before: readonly Comment[]): boolean {
  const texts = (comments: readonly Comment[]): readonly string[] =>
    comments.map(({ text }) => text).toSorted();
  return isDeepStrictEqual(texts(after), texts(before));
}

function fault(position: Position, message: string, file: string | undefined): PolicyError {
  return new PolicyError([{ path: "", ...position, message }], named(file));
}

function named(file: string | undefined): { readonly file?: string } {
  return file === undefined ? {} : { file };
}
