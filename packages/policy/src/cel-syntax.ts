/** The text of a condition to a syntax tree, in a time that its length bounds, or the place where it cannot be read. */
import { parse } from "@bufbuild/cel";
import { createPatternSet, type PatternSet } from "./linear-pattern.ts";

/** A fault in an expression, or a hint of lint. `offset` counts UTF-16 units from 0, `line` and `column` from 1. */
export interface CelIssue {
  readonly offset: number;
  readonly line: number;
  readonly column: number;
  readonly message: string;
  readonly hint?: string;
}

/** A node of the engine's expanded syntax tree. */
export type CelNode = NonNullable<ReturnType<typeof parse>["expr"]>;
export type CelComprehension = Extract<CelNode["exprKind"], { case: "comprehensionExpr" }>["value"];

/** An expression that keeps to the policy language. */
export interface CelTree {
  readonly source: string;
  readonly root: CelNode;
  /** The patterns that are written out in it. */
  readonly patterns: PatternSet;
  /** Where a node's own token stands: the name of a member or a function, an operator, a literal. */
  offsetOf(node: CelNode): number;
  /** `has`, `all`, `exists` or `exists_one` for a node that a macro was expanded to. */
  macroOf(node: CelNode): string | undefined;
}

/** Nodes of the expanded tree. */
export const MAX_NODES = 500;
/** UTF-16 units: the parser of the engine takes some 10 µs for each. */
const MAX_LENGTH = 16_384;
/** A node is made of at most six tokens; twice as many leave room for parentheses. */
const MAX_TOKENS = 3000;
/** Brackets within brackets. An open bracket at depth n costs the parser of the engine n² attempts. */
const MAX_DEPTH = 32;

/** Parses an expression. What the tree says has not been looked at yet. */
export function parseCel(source: string): CelTree | CelFault {
  return scan(source) ?? parseTree(source);
}

/** A fault before its line is known. */
export interface CelFault {
  readonly offset: number;
  readonly message: string;
  readonly hint?: string;
}

/** Line and column of a fault within the expression. */
export function locate(source: string, { offset, message, hint }: CelFault): CelIssue {
  const before = source.slice(0, offset);
  const line = before.split("\n").length;
  const column = offset - before.lastIndexOf("\n");
  return { offset, line, column, message, ...(hint === undefined ? {} : { hint }) };
}

/** The nodes below a node, in the order of the text as far as a macro leaves it. */
export function childrenOf(node: CelNode): readonly CelNode[] {
  const kind = node.exprKind;
  switch (kind.case) {
    case "selectExpr":
      return present(kind.value.operand);
    case "callExpr":
      return [...present(kind.value.target), ...kind.value.args];
    case "listExpr":
      return kind.value.elements;
    case "structExpr":
      return kind.value.entries.flatMap(({ keyKind, value }) => [
        ...(keyKind.case === "mapKey" ? [keyKind.value] : []),
        ...present(value),
      ]);
    case "comprehensionExpr": {
      const { iterRange, accuInit, loopCondition, loopStep, result } = kind.value;
      return [iterRange, accuInit, loopCondition, loopStep, result].flatMap(present);
    }
    default:
      return [];
  }
}

/** Nodes of the expanded tree. */
export function countNodes(root: CelNode): number {
  let count = 0;
  const stack = [root];
  for (let node = stack.pop(); node !== undefined; node = stack.pop()) {
    count += 1;
    stack.push(...childrenOf(node));
  }
  return count;
}

function present(node: CelNode | undefined): readonly CelNode[] {
  return node === undefined ? [] : [node];
}

const TOKEN = new RegExp(
  [
    String.raw`\s+|//[^\n]*`,
    String.raw`(?:[rR][bB]?|[bB][rR])(?:"""[^]*?"""|'''[^]*?'''|"[^"\n]*"|'[^'\n]*')`,
    String.raw`[bB]?(?:"""(?:\\[^]|[^\\])*?"""|'''(?:\\[^]|[^\\])*?'''|"(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])*')`,
    String.raw`[A-Za-z_]\w*|\d[\w.]*|==|!=|<=|>=|&&|\|\|`,
    String.raw`[^]`,
  ].join("|"),
  "y",
);

/** The token at an offset; white space and comments are tokens too. */
function tokenAt(source: string, offset: number): string {
  TOKEN.lastIndex = offset;
  return TOKEN.exec(source)?.[0] ?? "";
}

function isBlank(token: string): boolean {
  return token.trim() === "" || token.startsWith("//");
}

/** Refuses in linear time what would cost the parser more. */
function scan(source: string): CelFault | undefined {
  if (source.length > MAX_LENGTH)
    return { offset: 0, message: `the expression is longer than ${MAX_LENGTH} characters` };
  if (!source.isWellFormed())
    return { offset: 0, message: "the expression is not well-formed Unicode" };
  let tokens = 0;
  let depth = 0;
  for (let offset = 0; offset < source.length;) {
    const token = tokenAt(source, offset);
    if (token === '"' || token === "'") return { offset, message: "the string has no end" };
    if (!isBlank(token)) tokens += 1;
    if ("([{".includes(token)) depth += 1;
    else if (")]}".includes(token)) depth -= 1;
    if (depth > MAX_DEPTH)
      return { offset, message: `brackets are nested deeper than ${MAX_DEPTH} levels` };
    offset += token.length;
  }
  if (tokens === 0) return { offset: 0, message: "the expression is empty" };
  if (tokens > MAX_TOKENS) return tooLarge();
  return undefined;
}

/** Too many nodes, or more text than so many can be made of. */
export function tooLarge(): CelFault {
  const message = `the expression has more than ${MAX_NODES} nodes`;
  return { offset: 0, message, hint: "move what describes the arguments to their JSON Schema" };
}

function parseTree(source: string): CelTree | CelFault {
  let parsed: ReturnType<typeof parse>;
  try {
    // The engine takes a comment only where a line ends behind it.
    parsed = parse(`${source}\n`);
  } catch (error) {
    return syntaxFault(source, error);
  }
  const { expr: root, sourceInfo } = parsed;
  if (root === undefined) return { offset: 0, message: "the expression is empty" };
  const macros = sourceInfo?.macroCalls ?? {};
  const macroOf = (node: CelNode): string | undefined => {
    const kind = macros[String(node.id)]?.exprKind;
    return kind?.case === "callExpr" ? kind.value.function : undefined;
  };
  const positionOf = (id: bigint): number => sourceInfo?.positions[String(id)] ?? 0;
  const offsetOf = (node: CelNode): number => {
    const kind = macros[String(node.id)]?.exprKind;
    // `has(a.b)` stands where `has` stands; what it asks for is the member.
    const inner = kind?.case === "callExpr" && macroOf(node) === "has" ? kind.value.args[0] : node;
    return afterDot(source, positionOf((inner ?? node).id));
  };
  return { source, root, patterns: createPatternSet("re2"), offsetOf, macroOf };
}

/** From the dot to the name behind it. */
function afterDot(source: string, offset: number): number {
  if (source[offset] !== ".") return offset;
  let at = offset + 1;
  for (let token = tokenAt(source, at); token !== "" && isBlank(token); token = tokenAt(source, at))
    at += token.length;
  return at;
}

const VALID_OPERATORS: ReadonlySet<string> = new Set(
  "== != <= >= && || < > + - * / % ? : . , ( [ { !".split(" "),
);

const HINTS: ReadonlyMap<string, string> = new Map([
  ["=", "did you mean '=='?"],
  ["&", "did you mean '&&'?"],
  ["and", "did you mean '&&'?"],
  ["AND", "did you mean '&&'?"],
  ["|", "did you mean '||'?"],
  ["or", "did you mean '||'?"],
  ["OR", "did you mean '||'?"],
  ["not", "did you mean '!'?"],
  ["is", "did you mean '=='?"],
]);

/** In words: the parser of the engine goes back to the last thing that made sense, which stands before the fault. */
function syntaxFault(source: string, error: unknown): CelFault {
  if (error instanceof RangeError)
    return { offset: 0, message: "the expression is nested too deeply" };
  const start = offsetOfError(error);
  if (start === undefined) {
    const reason = error instanceof Error ? error.message : String(error);
    return { offset: 0, message: `not a CEL expression: ${reason.slice(0, 200)}` };
  }
  let offset = Math.min(start, source.length);
  let token = tokenAt(source, offset);
  let after = "";
  while (token !== "" && (isBlank(token) || VALID_OPERATORS.has(token))) {
    if (!isBlank(token)) after = ` after '${token}'`;
    offset += token.length;
    token = tokenAt(source, offset);
  }
  if (token === "") return { offset, message: `the expression ends too early${after}` };
  const before =
    source
      .slice(0, offset)
      .trimEnd()
      .match(/[A-Za-z_]\w*$|[<>=]$/)?.[0] ?? "";
  const hint = HINTS.get(token) ?? (HINTS.has(before) ? HINTS.get(before) : undefined);
  const message = `unexpected '${token.slice(0, 40)}'${after}`;
  return { offset, message, ...(hint === undefined ? {} : { hint }) };
}

function offsetOfError(error: unknown): number | undefined {
  if (typeof error !== "object" || error === null || !("location" in error)) return undefined;
  const { location } = error;
  if (typeof location !== "object" || location === null || !("start" in location)) return undefined;
  const { start } = location;
  if (typeof start !== "object" || start === null || !("offset" in start)) return undefined;
  return typeof start.offset === "number" ? start.offset : undefined;
}

/** The text of a string literal. */
export function constantText(node: CelNode | undefined): string | undefined {
  if (node?.exprKind.case !== "constExpr") return undefined;
  const constant = node.exprKind.value.constantKind;
  return constant.case === "stringValue" ? constant.value : undefined;
}
