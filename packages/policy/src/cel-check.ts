/** What a condition may say: the variables, functions and macros of the policy language, and every fault of a tree in these terms. */
import { type CelKind, kindOf } from "./cel-kind.ts";
import {
  type CelComprehension,
  type CelFault,
  type CelIssue,
  type CelNode,
  type CelTree,
  childrenOf,
  constantText,
  countNodes,
  locate,
  MAX_NODES,
  parseCel,
  tooLarge,
} from "./cel-syntax.ts";
import { didYouMean } from "./spelling.ts";

/** Reads an expression. No tree comes back with an issue. */
export function readCel(
  source: string,
): { readonly tree: CelTree } | { readonly issues: readonly CelIssue[] } {
  const tree = parseCel(source);
  if ("offset" in tree) return { issues: [locate(source, tree)] };
  const faults = [...treeFaults(tree)];
  return faults.length === 0 ? { tree } : { issues: faults.map((fault) => locate(source, fault)) };
}

/** What a condition may name; all that there is. */
const VARIABLES: readonly string[] = ["args", "context", "agent_id", "tenant"];

/** How each function is called. */
const FUNCTIONS: ReadonlyMap<string, { readonly usage: string; fits(call: Shape): boolean }> =
  new Map([
    ["size", { usage: "size(x) or x.size()", fits: ({ values }) => values === 1 }],
    ["int", { usage: "int(x)", fits: isFunction }],
    ["double", { usage: "double(x)", fits: isFunction }],
    ["string", { usage: "string(x)", fits: isFunction }],
    ["startsWith", { usage: "text.startsWith(prefix)", fits: isMethod }],
    ["endsWith", { usage: "text.endsWith(suffix)", fits: isMethod }],
    ["contains", { usage: "text.contains(part)", fits: isMethod }],
    ["matches", { usage: "text.matches(pattern)", fits: isMethod }],
  ]);

const MACROS: ReadonlyMap<string, string> = new Map([
  ["has", "has(args.name)"],
  ["all", "list.all(x, x > 0.0)"],
  ["exists", "list.exists(x, x > 0.0)"],
  ["exists_one", "list.exists_one(x, x > 0.0)"],
]);

const OPERATORS: ReadonlySet<string> = new Set([
  ..."_+_ _-_ _*_ _/_ _%_ _==_ _!=_ _<_ _<=_ _>_ _>=_ _&&_ _||_ _?_:_ _[_] !_ -_ @in".split(" "),
  "@not_strictly_false",
]);

const EVERYTHING: readonly string[] = [...FUNCTIONS.keys(), ...MACROS.keys()];

/** How a function is called: on something or not, and with how many values, the receiver counted. */
interface Shape {
  readonly method: boolean;
  readonly values: number;
}

function isFunction({ method, values }: Shape): boolean {
  return !method && values === 1;
}

function isMethod({ method, values }: Shape): boolean {
  return method && values === 2;
}

/** Where a node stands in the tree. */
interface Place {
  readonly tree: CelTree;
  /** Members of lists and maps that a comprehension around the node has named. */
  readonly names: ReadonlySet<string>;
  readonly inComprehension: boolean;
}

function* treeFaults(tree: CelTree): Generator<CelFault> {
  if (countNodes(tree.root) > MAX_NODES) {
    yield tooLarge();
    return;
  }
  const faults = [...nodeFaults(tree.root, { tree, names: new Set(), inComprehension: false })];
  yield* faults;
  const kind = kindOf(tree.root, new Map());
  if (faults.length === 0 && !MAYBE_BOOLEAN.has(kind)) {
    const message = `a condition is true or false; this is ${kind === "int" ? "an" : "a"} ${kind}`;
    yield { offset: tree.offsetOf(tree.root), message };
  }
}

const MAYBE_BOOLEAN: ReadonlySet<CelKind> = new Set(["bool", "json", "any"]);

function* nodeFaults(node: CelNode, place: Place): Generator<CelFault> {
  const kind = node.exprKind;
  const offset = place.tree.offsetOf(node);
  if (kind.case === "comprehensionExpr") return yield* comprehensionFaults(node, kind.value, place);
  if (kind.case === "constExpr") yield* constantFaults(kind.value.constantKind, offset);
  else if (kind.case === "identExpr") yield* nameFaults(kind.value.name, offset, place);
  else if (kind.case === "callExpr") yield* callFaults(kind.value, offset, place.tree);
  else if (kind.case === "structExpr" && kind.value.messageName !== "")
    yield { offset, message: `there is no type '${kind.value.messageName}' here` };
  else if (kind.case === undefined) yield { offset, message: "not a CEL expression" };
  for (const child of childrenOf(node)) yield* nodeFaults(child, place);
}

function* comprehensionFaults(
  node: CelNode,
  value: CelComprehension,
  place: Place,
): Generator<CelFault> {
  const { tree, names } = place;
  const offset = tree.offsetOf(node);
  const macro = tree.macroOf(node) ?? "";
  if (!MACROS.has(macro)) yield unknownFunction(macro, offset);
  if (place.inComprehension) {
    const message = `'${macro}' stands inside another comprehension`;
    yield { offset, message, hint: "a member may be compared with a list by 'in'" };
  }
  if (VARIABLES.includes(value.iterVar))
    yield { offset, message: `'${value.iterVar}' is a variable; name the member otherwise` };
  const inside = { tree, names, inComprehension: true };
  if (value.iterRange !== undefined) yield* nodeFaults(value.iterRange, inside);
  const body = { ...inside, names: new Set([...names, value.iterVar, value.accuVar]) };
  if (value.loopStep !== undefined) yield* nodeFaults(value.loopStep, body);
}

const MIN_INT = -(2n ** 63n);
const MAX_INT = 2n ** 63n - 1n;
const MAX_UINT = 2n ** 64n - 1n;

type Constant = Extract<CelNode["exprKind"], { case: "constExpr" }>["value"]["constantKind"];

function* constantFaults(constant: Constant, offset: number): Generator<CelFault> {
  switch (constant.case) {
    case "int64Value":
      if (constant.value < MIN_INT || constant.value > MAX_INT)
        yield { offset, message: "the integer does not fit into 64 bits" };
      break;
    case "uint64Value":
      if (constant.value > MAX_UINT)
        yield { offset, message: "the integer does not fit into 64 bits" };
      break;
    case "doubleValue":
      if (!Number.isFinite(constant.value))
        yield { offset, message: "the number is too large for a double" };
      break;
    case "bytesValue":
      yield { offset, message: "there are no bytes in JSON", hint: "write a string" };
      break;
    case "stringValue":
      if (!constant.value.isWellFormed())
        yield { offset, message: "half of a surrogate pair stands for no character" };
  }
}

function* nameFaults(name: string, offset: number, { names }: Place): Generator<CelFault> {
  if (VARIABLES.includes(name) || names.has(name)) return;
  const known = [...names].filter((known) => !known.startsWith("@"));
  const near = didYouMean(name, [...VARIABLES, ...known, "true", "false", "null"]);
  const hint = `the variables are ${VARIABLES.join(", ")}; an argument is args.${name}`;
  yield { offset, message: `'${name}' is no variable`, ...(near ?? { hint }) };
}

function* callFaults(
  call: Extract<CelNode["exprKind"], { case: "callExpr" }>["value"],
  offset: number,
  tree: CelTree,
): Generator<CelFault> {
  const name = call.function;
  if (OPERATORS.has(name)) return;
  const macro = MACROS.get(name);
  const known = FUNCTIONS.get(name);
  const method = call.target !== undefined;
  if (macro !== undefined) {
    const message = `'${name}' is written ${macro}`;
    yield name === "has" ? { offset, message, hint: 'or "name" in args' } : { offset, message };
  } else if (known === undefined) yield unknownFunction(name, offset);
  else if (!known.fits({ method, values: call.args.length + (method ? 1 : 0) }))
    yield { offset, message: `'${name}' is written ${known.usage}` };
  else if (name === "matches") yield* patternFaults(call.args[0], tree);
}

const REFUSED: ReadonlyMap<string, string> = new Map([
  ["map", "use all, exists or exists_one"],
  ["filter", "use exists(x, …) or all(x, …)"],
  ["existsOne", "did you mean 'exists_one'?"],
  ["timestamp", "a condition has no clock; windows belong to limits"],
  ["duration", "a condition has no clock; windows belong to limits"],
  ["now", "a condition has no clock; windows belong to limits"],
  ["uint", "did you mean 'int'?"],
  ["bool", "compare with true"],
  ["dyn", "leave it out: arguments have no static type"],
  ["type", "the JSON Schema in args says what type an argument has"],
  ["bytes", "there are no bytes in JSON"],
  ["len", "did you mean 'size'?"],
  ["length", "did you mean 'size'?"],
  ["includes", "did you mean 'contains'?"],
]);

function unknownFunction(name: string, offset: number): CelFault {
  const near = didYouMean(name, EVERYTHING);
  const hint = REFUSED.get(name) ?? near?.hint ?? `the functions are ${EVERYTHING.join(", ")}`;
  return { offset, message: `there is no function '${name}' here`, hint };
}

function* patternFaults(pattern: CelNode | undefined, tree: CelTree): Generator<CelFault> {
  const text = constantText(pattern);
  if (pattern === undefined || text === undefined) return;
  const compiled = tree.patterns.compile(text);
  if ("fault" in compiled) yield { offset: tree.offsetOf(pattern), ...compiled.fault };
}
