/** What an expression yields, as far as its text says so: JSON is known only when it comes. */
import type { CelNode } from "./cel-syntax.ts";

/** `json`: some value of the arguments or the context; its numbers are doubles. `any`: nothing is known. */
export type CelKind =
  | "any"
  | "bool"
  | "double"
  | "int"
  | "json"
  | "list"
  | "map"
  | "null"
  | "string"
  | "uint";

/** The kinds of the names that comprehensions around the expression have given to members. */
export type MemberKinds = ReadonlyMap<string, CelKind>;

const RESULTS: ReadonlyMap<string, CelKind> = new Map([
  ...["_==_", "_!=_", "_<_", "_<=_", "_>_", "_>=_", "_&&_", "_||_", "!_", "@in"].map(
    (name) => [name, "bool"] as const,
  ),
  ...["startsWith", "endsWith", "contains", "matches"].map((name) => [name, "bool"] as const),
  ["size", "int"],
  ["int", "int"],
  ["double", "double"],
  ["string", "string"],
]);

const CONSTANTS: ReadonlyMap<string, CelKind> = new Map([
  ["boolValue", "bool"],
  ["doubleValue", "double"],
  ["int64Value", "int"],
  ["nullValue", "null"],
  ["stringValue", "string"],
  ["uint64Value", "uint"],
]);

/** The kind of a node's value. */
export function kindOf(node: CelNode | undefined, members: MemberKinds): CelKind {
  const kind = node?.exprKind;
  switch (kind?.case) {
    case "constExpr":
      return CONSTANTS.get(kind.value.constantKind.case ?? "") ?? "any";
    case "identExpr":
      return identKind(kind.value.name, members);
    case "selectExpr":
      return kind.value.testOnly ? "bool" : memberKind(kindOf(kind.value.operand, members));
    case "listExpr":
      return "list";
    case "structExpr":
      return "map";
    case "comprehensionExpr":
      return "bool";
    case "callExpr":
      return callKind(kind.value.function, kind.value.args, members);
    default:
      return "any";
  }
}

/** The kind of what a comprehension names, given the kind of what it goes over. */
export function memberKind(kind: CelKind): CelKind {
  return kind === "json" ? "json" : "any";
}

function identKind(name: string, members: MemberKinds): CelKind {
  const member = members.get(name);
  if (member !== undefined) return member;
  if (name === "args" || name === "context") return "json";
  return name === "agent_id" || name === "tenant" ? "string" : "any";
}

function callKind(name: string, args: readonly CelNode[], members: MemberKinds): CelKind {
  const result = RESULTS.get(name);
  if (result !== undefined) return result;
  const [first, second, third] = args;
  if (name === "_[_]") return memberKind(kindOf(first, members));
  if (name === "_?_:_") return either(kindOf(second, members), kindOf(third, members));
  if (second === undefined) return kindOf(first, members);
  return together(kindOf(first, members), kindOf(second, members));
}

/** The kind of two things of which one comes. */
function either(a: CelKind, b: CelKind): CelKind {
  return a === b ? a : "any";
}

/** The kind of two things that an operator takes only if they are alike. */
function together(a: CelKind, b: CelKind): CelKind {
  if (a === "json") return b;
  return a === b || b === "json" ? a : "any";
}
