/** What a condition says that cannot come out right: arithmetic that JSON numbers do not have, arguments that a tool does not take. */
import { readCel } from "./cel-check.ts";
import { type CelKind, kindOf, memberKind, type MemberKinds } from "./cel-kind.ts";
import {
  type CelFault,
  type CelIssue,
  type CelNode,
  type CelTree,
  childrenOf,
  constantText,
  locate,
} from "./cel-syntax.ts";
import {
  itemSchema,
  type JsonSchemaNode,
  memberSchema,
  rootSchema,
} from "./json-schema-members.ts";
import { didYouMean } from "./spelling.ts";

/**
 * Warnings about an expression that compiles: `args.n + 1` is an error in every call, for JSON numbers are doubles and
 * `1` is an integer. Nothing for an expression that does not compile.
 */
export function celLint(source: string): readonly CelIssue[] {
  const read = readCel(source);
  if ("issues" in read) return [];
  return [...arithmetic(read.tree.root, read.tree, new Map())].map((fault) =>
    locate(source, fault),
  );
}

/**
 * Members of `args` that a tool's JSON Schema does not have and, by `additionalProperties: false`, does not allow: typing
 * errors, each where it stands. Nothing where the schema leaves it open, or where the expression does not compile.
 */
export function unknownArgs(source: string, schema: unknown): readonly CelIssue[] {
  const read = readCel(source);
  const root = rootSchema(schema);
  if ("issues" in read || root === undefined) return [];
  const { tree } = read;
  const faults = [...unknownMembers(tree.root, tree, new Map([["args", root]]))];
  return faults.map((fault) => locate(source, fault));
}

const ARITHMETIC: ReadonlyMap<string, string> = new Map([
  ["_+_", "+"],
  ["_-_", "-"],
  ["_*_", "*"],
  ["_/_", "/"],
  ["_%_", "%"],
]);

function* arithmetic(node: CelNode, tree: CelTree, members: MemberKinds): Generator<CelFault> {
  const kind = node.exprKind;
  if (kind.case === "callExpr") {
    const operator = ARITHMETIC.get(kind.value.function);
    const [left, right] = kind.value.args;
    if (operator !== undefined && left !== undefined && right !== undefined)
      yield* mismatch({ operator, node, left, right }, tree, members);
  }
  if (kind.case === "comprehensionExpr") {
    const { iterRange, iterVar, loopStep } = kind.value;
    const member = memberKind(kindOf(iterRange, members));
    if (iterRange !== undefined) yield* arithmetic(iterRange, tree, members);
    const inside = new Map<string, CelKind>([...members, [iterVar, member]]);
    if (loopStep !== undefined) yield* arithmetic(loopStep, tree, inside);
    return;
  }
  for (const child of childrenOf(node)) yield* arithmetic(child, tree, members);
}

interface Operation {
  readonly operator: string;
  readonly node: CelNode;
  readonly left: CelNode;
  readonly right: CelNode;
}

const INTEGERS: ReadonlySet<CelKind> = new Set(["int", "uint"]);
const DOUBLES: ReadonlySet<CelKind> = new Set(["json", "double"]);

function* mismatch(
  { operator, node, left, right }: Operation,
  tree: CelTree,
  members: MemberKinds,
): Generator<CelFault> {
  const kinds = [kindOf(left, members), kindOf(right, members)] as const;
  if (operator === "%") {
    if (!kinds.some((kind) => DOUBLES.has(kind))) return;
    const message = "'%' works on integers, and JSON numbers are doubles";
    yield { offset: tree.offsetOf(node), message, hint: "write int(args.n) % 2" };
    return;
  }
  const integer = INTEGERS.has(kinds[0]) ? left : INTEGERS.has(kinds[1]) ? right : undefined;
  if (integer === undefined || !kinds.some((kind) => DOUBLES.has(kind))) return;
  const message = `'${operator}' of an integer and a JSON number, which is a double, is an error`;
  const literal = literalText(integer);
  const hint = literal === undefined ? "make it a double: double(…)" : `write ${literal}.0`;
  yield { offset: tree.offsetOf(integer), message, hint };
}

function literalText(node: CelNode): string | undefined {
  if (node.exprKind.case !== "constExpr") return undefined;
  const constant = node.exprKind.value.constantKind;
  return constant.case === "int64Value" || constant.case === "uint64Value"
    ? String(constant.value)
    : undefined;
}

type Schemas = ReadonlyMap<string, JsonSchemaNode>;

function* unknownMembers(node: CelNode, tree: CelTree, schemas: Schemas): Generator<CelFault> {
  const kind = node.exprKind;
  if (kind.case === "comprehensionExpr") {
    const { iterRange, iterVar, loopStep } = kind.value;
    if (iterRange !== undefined) yield* unknownMembers(iterRange, tree, schemas);
    const items = itemSchema(schemaOf(iterRange, schemas));
    const inside = new Map(schemas);
    if (items === undefined) inside.delete(iterVar);
    else inside.set(iterVar, items);
    if (loopStep !== undefined) yield* unknownMembers(loopStep, tree, inside);
    return;
  }
  const looked = lookUp(node);
  if (looked !== undefined) {
    const found = memberSchema(schemaOf(looked.from, schemas), looked.name);
    if (found !== undefined && "missing" in found) {
      const message = `the tool takes no argument '${looked.name}'`;
      const hint = didYouMean(looked.name, found.missing) ?? namesHint(found.missing);
      yield { offset: tree.offsetOf(looked.at), message, ...hint };
    }
  }
  for (const child of childrenOf(node)) yield* unknownMembers(child, tree, schemas);
}

const MOST_NAMES = 8;

function namesHint(names: readonly string[]): { readonly hint: string } | undefined {
  return names.length === 0 || names.length > MOST_NAMES
    ? undefined
    : { hint: `it takes ${names.join(", ")}` };
}

interface LookUp {
  readonly from: CelNode | undefined;
  readonly name: string;
  readonly at: CelNode;
}

/** `a.name`, `has(a.name)`, `a["name"]` and `"name" in a`. */
function lookUp(node: CelNode): LookUp | undefined {
  const kind = node.exprKind;
  if (kind.case === "selectExpr")
    return { from: kind.value.operand, name: kind.value.field, at: node };
  if (kind.case !== "callExpr") return undefined;
  const [first, second] = kind.value.args;
  const [from, at] = kind.value.function === "@in" ? [second, first] : [first, second];
  if (kind.value.function !== "_[_]" && kind.value.function !== "@in") return undefined;
  const name = constantText(at);
  return at === undefined || name === undefined ? undefined : { from, name, at };
}

/** The schema of what a node leads to, where it leads through known members only. */
function schemaOf(node: CelNode | undefined, schemas: Schemas): JsonSchemaNode | undefined {
  const kind = node?.exprKind;
  if (node === undefined || kind === undefined) return undefined;
  if (kind.case === "identExpr") return schemas.get(kind.value.name);
  if (kind.case === "selectExpr" && kind.value.testOnly) return undefined;
  if (kind.case === "callExpr" && kind.value.function !== "_[_]") return undefined;
  const looked = lookUp(node);
  if (looked !== undefined) {
    const found = memberSchema(schemaOf(looked.from, schemas), looked.name);
    return found !== undefined && "schema" in found ? found.schema : undefined;
  }
  return kind.case === "callExpr" ? itemSchema(schemaOf(kind.value.args[0], schemas)) : undefined;
}
