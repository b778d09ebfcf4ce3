/** Random conditions as trees, their CEL text, and a second evaluation of them that shares nothing with the engine. */
import type { Json, JsonObject } from "@stepgate/core";
import fc from "fast-check";

export type Tree =
  | { readonly op: "literal"; readonly value: boolean | number | string | null }
  | { readonly op: "int"; readonly value: number }
  | { readonly op: "path"; readonly names: readonly string[] }
  | { readonly op: "has"; readonly names: readonly string[] }
  | { readonly op: "not"; readonly of: Tree }
  | {
      readonly op: "&&" | "||" | "==" | "!=" | "<" | "<=" | ">" | ">=";
      readonly a: Tree;
      readonly b: Tree;
    }
  | { readonly op: "+" | "-" | "*"; readonly a: Tree; readonly b: Tree }
  | { readonly op: "?"; readonly test: Tree; readonly a: Tree; readonly b: Tree }
  | { readonly op: "in"; readonly value: Tree; readonly list: readonly Tree[] }
  | { readonly op: "key"; readonly name: string; readonly of: Tree }
  | { readonly op: "startsWith" | "endsWith" | "contains"; readonly a: Tree; readonly b: Tree }
  | { readonly op: "size"; readonly of: Tree }
  | { readonly op: "all" | "exists" | "exists_one"; readonly range: Tree; readonly test: Tree };

/** Names that a JavaScript object has whether it wants to or not stand beside plain ones. */
const NAMES = ["a", "b", "constructor", "__proto__", "toString"] as const;
const TEXTS = ["", "a", "b", "ab", "é", "😀", "constructor"] as const;

/** JSON as it may come with a call. */
const json: fc.Arbitrary<Json> = fc.letrec<{ value: Json }>((tie) => ({
  value: fc.oneof(
    { depthSize: "small", withCrossShrink: true },
    fc.constantFrom<Json>(null, true, false, 0, 1, 2, 1.5, -1, 2 ** 53 - 1, ...TEXTS),
    fc.array(tie("value"), { maxLength: 3 }),
    fc
      .array(fc.tuple(fc.constantFrom(...NAMES, "$typeName", "value"), tie("value")), {
        maxLength: 3,
      })
      .map((entries): Json => Object.fromEntries(entries)),
  ),
})).value;

/** Arguments: an object at the root. */
export const args: fc.Arbitrary<JsonObject> = fc
  .array(fc.tuple(fc.constantFrom(...NAMES), json), { maxLength: 4 })
  .map((entries) => Object.fromEntries(entries));

/** A tree without comprehensions, and around it at most one level of them. */
export const tree: fc.Arbitrary<Tree> = trees(
  ["args"],
  fc.record({
    op: fc.constantFrom("all", "exists", "exists_one"),
    range: path(["args"]),
    test: trees(
      ["args", "x"],
      fc.nat().map((value): Tree => ({ op: "int", value })),
    ),
  }),
);

function path(roots: readonly string[]): fc.Arbitrary<Tree & { op: "path" }> {
  return fc
    .tuple(fc.constantFrom(...roots), fc.array(fc.constantFrom(...NAMES), { maxLength: 2 }))
    .map(([root, names]) => ({ op: "path", names: [root, ...names] }));
}

function trees(roots: readonly string[], special: fc.Arbitrary<Tree>): fc.Arbitrary<Tree> {
  return fc.letrec<{ any: Tree }>((tie) => {
    const pair = { a: tie("any"), b: tie("any") };
    const leaf = fc.oneof(
      path(roots),
      fc
        .constantFrom(null, true, false, 0, 1, 2, 1.5, ...TEXTS)
        .map((value): Tree => ({ op: "literal", value })),
      fc.integer({ min: -3, max: 3 }).map((value): Tree => ({ op: "int", value })),
    );
    return {
      any: fc.oneof(
        { depthSize: "small", withCrossShrink: true },
        leaf,
        fc.record({ op: fc.constantFrom("&&", "||", "==", "!=", "<", "<=", ">", ">="), ...pair }),
        fc.record({ op: fc.constantFrom("&&", "||", "=="), ...pair }),
        fc.record({ op: fc.constantFrom("+", "-", "*"), ...pair }),
        fc.record({ op: fc.constantFrom("startsWith", "endsWith", "contains"), ...pair }),
        fc.record({ op: fc.constant("not"), of: tie("any") }),
        fc.record({ op: fc.constant("size"), of: tie("any") }),
        fc.record({ op: fc.constant("?"), test: tie("any"), ...pair }),
        fc.record({
          op: fc.constant("in"),
          value: tie("any"),
          list: fc.array(tie("any"), { maxLength: 3 }),
        }),
        fc.record({ op: fc.constant("key"), name: fc.constantFrom(...NAMES), of: path(roots) }),
        path(roots)
          .filter(({ names }) => names.length > 1)
          .map(({ names }): Tree => ({ op: "has", names })),
        special,
      ) as fc.Arbitrary<Tree>,
    };
  }).any;
}

/** The text of a tree. */
export function print(node: Tree): string {
  switch (node.op) {
    case "literal":
      return typeof node.value === "number" ? node.value.toFixed(2) : JSON.stringify(node.value);
    case "int":
      return node.value < 0 ? `(${node.value})` : String(node.value);
    case "path":
      return node.names.join(".");
    case "has":
      return `has(${node.names.join(".")})`;
    case "not":
      return `!(${print(node.of)})`;
    case "?":
      return `((${print(node.test)}) ? (${print(node.a)}) : (${print(node.b)}))`;
    case "in":
      return `(${print(node.value)} in [${node.list.map(print).join(", ")}])`;
    case "key":
      return `(${JSON.stringify(node.name)} in ${print(node.of)})`;
    case "startsWith":
    case "endsWith":
    case "contains":
      return `(${print(node.a)}).${node.op}(${print(node.b)})`;
    case "size":
      return `size(${print(node.of)})`;
    case "all":
    case "exists":
    case "exists_one":
      return `${print(node.range)}.${node.op}(x, ${print(node.test)})`;
    default:
      return `(${print(node.a)} ${node.op} ${print(node.b)})`;
  }
}

/** What a tree yields: JSON, an integer, or an error. */
type Value = Json | { readonly int: bigint };
const ERROR = Symbol("error");
type Outcome = Value | typeof ERROR;

/** The verdict of a tree by the CEL specification, read anew. */
export function verdict(node: Tree, variables: Readonly<Record<string, Json>>): boolean | "error" {
  const result = value(node, variables);
  return typeof result === "boolean" ? result : "error";
}

function isInt(v: Outcome): v is { readonly int: bigint } {
  return typeof v === "object" && v !== null && "int" in v && typeof v.int === "bigint";
}

function isMap(v: Outcome): v is JsonObject {
  return typeof v === "object" && v !== null && !Array.isArray(v) && !isInt(v);
}

type Variables = Readonly<Record<string, Json>>;

function value(node: Tree, variables: Variables): Outcome {
  switch (node.op) {
    case "literal":
      return node.value;
    case "int":
      return { int: BigInt(node.value) };
    case "path":
      return follow(node.names, variables);
    case "has": {
      const owner = follow(node.names.slice(0, -1), variables);
      if (owner === ERROR) return ERROR;
      return isMap(owner) && Object.hasOwn(owner, node.names.at(-1) ?? "");
    }
    case "not": {
      // The parser of the engine leaves out pairs of negations, whatever it is that they negate.
      if (node.of.op === "not") return value(node.of.of, variables);
      const of = value(node.of, variables);
      return typeof of === "boolean" ? !of : ERROR;
    }
    case "&&":
      return both(value(node.a, variables), () => value(node.b, variables), false);
    case "||":
      return both(value(node.a, variables), () => value(node.b, variables), true);
    case "?": {
      const test = value(node.test, variables);
      return typeof test === "boolean" ? value(test ? node.a : node.b, variables) : ERROR;
    }
    case "in": {
      const parts = [node.value, ...node.list].map((part) => value(part, variables));
      if (parts.includes(ERROR)) return ERROR;
      const [first, ...rest] = parts;
      return rest.some((part) => same(part as Value, first as Value));
    }
    case "key": {
      const owner = value(node.of, variables);
      if (Array.isArray(owner)) return owner.includes(node.name);
      return isMap(owner) ? Object.hasOwn(owner, node.name) : ERROR;
    }
    case "size": {
      const of = value(node.of, variables);
      if (typeof of === "string") return { int: BigInt([...of].length) };
      if (Array.isArray(of)) return { int: BigInt(of.length) };
      return isMap(of) ? { int: BigInt(Object.keys(of).length) } : ERROR;
    }
    case "all":
    case "exists":
    case "exists_one":
      return comprehension(node, variables);
    default: {
      const a = value(node.a, variables);
      const b = value(node.b, variables);
      return a === ERROR || b === ERROR ? ERROR : binary(node.op, a, b);
    }
  }
}

function follow(names: readonly string[], variables: Variables): Outcome {
  let at: Json = variables as JsonObject;
  for (const name of names) {
    if (!isMap(at) || !Object.hasOwn(at, name)) return ERROR;
    at = at[name] as Json;
  }
  return at;
}

/** `&&` and `||` are commutative: either side alone can decide, even beside an error. */
function both(a: Outcome, other: () => Outcome, decisive: boolean): Outcome {
  if (a === decisive) return decisive;
  const b = other();
  if (b === decisive) return decisive;
  return typeof a === "boolean" && typeof b === "boolean" ? !decisive : ERROR;
}

function comprehension(
  { op, range, test }: Tree & { op: "all" | "exists" | "exists_one" },
  variables: Variables,
): Outcome {
  const over = value(range, variables);
  const members = Array.isArray(over) ? over : isMap(over) ? Object.keys(over) : undefined;
  if (members === undefined) return ERROR;
  const results = members.map((x: Json) => value(test, { ...variables, x }));
  const clean = results.every((result) => typeof result === "boolean");
  const count = results.filter((result) => result === true).length;
  if (op === "exists_one") return clean ? count === 1 : ERROR;
  if (op === "exists") return count > 0 ? true : clean ? false : ERROR;
  return results.includes(false) ? false : clean ? true : ERROR;
}

function numeric(v: Value): number | bigint | undefined {
  return isInt(v) ? v.int : typeof v === "number" ? v : undefined;
}

function same(a: Value, b: Value): boolean {
  const [x, y] = [numeric(a), numeric(b)];
  if (x !== undefined && y !== undefined) return x == y;
  if (Array.isArray(a) && Array.isArray(b))
    return a.length === b.length && a.every((item: Json, index) => same(item, b[index] as Json));
  if (isMap(a) && isMap(b)) {
    const keys = Object.keys(a);
    return (
      keys.length === Object.keys(b).length &&
      keys.every((key) => Object.hasOwn(b, key) && same(a[key] as Json, b[key] as Json))
    );
  }
  return a === b;
}

function binary(op: string, a: Value, b: Value): Outcome {
  if (op === "==") return same(a, b);
  if (op === "!=") return !same(a, b);
  if (op === "startsWith" || op === "endsWith" || op === "contains") {
    if (typeof a !== "string" || typeof b !== "string") return ERROR;
    return op === "contains" ? a.includes(b) : a[op](b);
  }
  if (op === "+" || op === "-" || op === "*") return arithmetic(op, a, b);
  const [x, y] = [numeric(a), numeric(b)];
  if (x !== undefined && y !== undefined) return order(op, x, y);
  if (typeof a === "string" && typeof b === "string") return order(op, a, b);
  return typeof a === "boolean" && typeof b === "boolean" ? order(op, a, b) : ERROR;
}

function order(op: string, a: string | number | bigint | boolean, b: typeof a): boolean {
  if (op === "<") return a < b;
  if (op === "<=") return a <= b;
  return op === ">" ? a > b : a >= b;
}

function arithmetic(op: "+" | "-" | "*", a: Value, b: Value): Outcome {
  if (op === "+" && typeof a === "string" && typeof b === "string") return a + b;
  if (op === "+" && Array.isArray(a) && Array.isArray(b))
    return [...(a as Json[]), ...(b as Json[])];
  if (isInt(a) && isInt(b)) {
    const int = op === "+" ? a.int + b.int : op === "-" ? a.int - b.int : a.int * b.int;
    return { int };
  }
  if (typeof a !== "number" || typeof b !== "number") return ERROR;
  return op === "+" ? a + b : op === "-" ? a - b : a * b;
}
