/** The CEL engine with the functions of the policy language, each counting its work, so that no arguments can hang it. */
import {
  type CelEnv,
  celEnv,
  type CelFunc,
  celFunc,
  celList,
  type CelList,
  type CelMap,
  celMethod,
  CelScalar,
  type CelValue,
  isCelError,
  isCelList,
  isCelMap,
  listType,
  mapType,
  plan,
} from "@bufbuild/cel";
import type { Scope } from "@stepgate/core/compiler";
import { type CelComprehension, type CelNode, childrenOf, countNodes } from "./cel-syntax.ts";
import { celMapOf } from "./cel-values.ts";
import { compilePattern, type LinearPattern } from "./linear-pattern.ts";
import { createMeter, exhaust, spend, type WorkMeter } from "./work-meter.ts";

/** The patterns of an expression by their source. */
export type Patterns = ReadonlyMap<string, LinearPattern>;

/** Runs an expression once. What is not exactly true or false is `"error"`; it never throws. */
export type CelRun = (scope: Scope) => boolean | "error";

/** Members that a comprehension goes over and `in` looks through. */
const MAX_MEMBERS = 1000;
/** Units: a node takes some 300 ns, an element that is compared 200 ns, one that is itself a list or an object 3 µs. */
const NODE_WORK = 10;
const ELEMENT_WORK = 8;
const COLLECTION_WORK = 100;
/** Characters that are compared, searched and counted in one unit. */
const COMPARED = 64;
const SEARCHED = 8;
const COUNTED = 4;
/** Units for a character and for an instruction of a pattern that comes with the call. */
const PARSE_WORK = 100;
const COMPILE_WORK = 40;

/** Plans a checked tree, which is changed: each comprehension gets its bound. */
export function planCel(root: CelNode, patterns: Patterns): CelRun {
  boundComprehensions(root);
  const run = plan(environment(), root);
  return (scope) => {
    const outer = evaluation;
    const meter = createMeter();
    evaluation = { meter, patterns };
    try {
      const { args, context, agent_id, tenant } = scope;
      const variables = { args: celMapOf(args), context: celMapOf(context), agent_id, tenant };
      const result = run(variables);
      // The engine returns its errors, and `||` may have swallowed one of ours: then the meter still says so.
      return meter.left >= 0 && (result === true || result === false) ? result : "error";
    } catch {
      return "error";
    } finally {
      evaluation = outer;
    }
  };
}

/** Evaluation is synchronous, so that what belongs to the present one can stand here; the functions cannot be given it. */
let evaluation: { readonly meter: WorkMeter; readonly patterns: Patterns } | undefined;

function meter(): WorkMeter {
  if (evaluation === undefined) throw new Error("outside of an evaluation");
  return evaluation.meter;
}

const RANGE = "@members";

/** Puts `@members(range, nodes)` around what a comprehension goes over. */
function boundComprehensions(root: CelNode): void {
  const stack = [root];
  for (let node = stack.pop(); node !== undefined; node = stack.pop()) {
    stack.push(...childrenOf(node));
    if (node.exprKind.case === "comprehensionExpr") bound(node.exprKind.value, countNodes(node));
  }
}

function bound(comprehension: CelComprehension, nodes: number): void {
  const range = comprehension.iterRange;
  if (range === undefined) return;
  const size: CelNode = {
    $typeName: "cel.expr.Expr",
    id: 0n,
    exprKind: {
      case: "constExpr",
      value: {
        $typeName: "cel.expr.Constant",
        constantKind: { case: "int64Value", value: BigInt(nodes) },
      },
    },
  };
  comprehension.iterRange = {
    $typeName: "cel.expr.Expr",
    id: 0n,
    exprKind: {
      case: "callExpr",
      value: { $typeName: "cel.expr.Expr.Call", function: RANGE, args: [range, size] },
    },
  };
}

let shared: CelEnv | undefined;

function environment(): CelEnv {
  shared ??= celEnv({ funcs: [...collections(), ...texts(), ...conversions()] });
  return shared;
}

const { BOOL, DOUBLE, DYN, INT, STRING, UINT } = CelScalar;
const LIST = listType(DYN);
const MAP = mapType(DYN, DYN);

function collections(): readonly CelFunc[] {
  const equals = builtin("_==_");
  const within = builtin("@in");
  return [
    celFunc(RANGE, [DYN, INT], DYN, (range, nodes) => {
      if (isCelList(range) || isCelMap(range))
        spend(meter(), membersOf(range) * Number(nodes) * NODE_WORK);
      return range;
    }),
    celFunc("_==_", [DYN, DYN], BOOL, (a, b) => {
      spendComparison(a, b);
      return equals(a, b) === true;
    }),
    celFunc("_!=_", [DYN, DYN], BOOL, (a, b) => {
      spendComparison(a, b);
      return equals(a, b) !== true;
    }),
    celFunc("@in", [DYN, LIST], BOOL, (value, list) => {
      const work = membersOf(list) * (1 + textWork(value));
      spend(meter(), isObject(value) ? weigh(list) : work * ELEMENT_WORK);
      return within(value, list) === true;
    }),
    ...[STRING, DOUBLE, INT, BOOL, UINT].map((key) =>
      celFunc("@in", [key, MAP], BOOL, (value: CelValue, map: CelMap) => {
        membersOf(map);
        return within(value, map) === true;
      }),
    ),
    celFunc("_+_", [LIST, LIST], LIST, (a, b) => {
      spend(meter(), (a.size + b.size) * ELEMENT_WORK);
      return celList([...a, ...b]);
    }),
    celFunc("size", [MAP], INT, sizeOfMap),
    celMethod("size", MAP, [], INT, function () {
      return sizeOfMap(this);
    }),
  ];
}

/** A function of the engine itself, to be called with counted work. */
function builtin(name: string): (...values: CelValue[]) => CelValue {
  const group = celEnv().funcs.find(name);
  return (...values) => {
    const result = group?.call(0, undefined, values);
    if (result === undefined || isCelError(result)) throw result ?? new Error(`no ${name} here`);
    return result;
  };
}

/** The number of members, if it is one that may be gone over. */
function membersOf(collection: CelList | CelMap): number {
  const { size } = collection;
  spend(meter(), isCelMap(collection) ? size : 1);
  return size > MAX_MEMBERS ? exhaust(meter()) : size + 1;
}

function sizeOfMap(map: CelMap): bigint {
  const { size } = map;
  spend(meter(), size);
  return BigInt(size);
}

function isObject(value: CelValue): value is CelValue & object {
  return typeof value === "object" && value !== null;
}

function textWork(value: CelValue): number {
  return typeof value === "string" ? Math.ceil(value.length / COMPARED) : 0;
}

function spendComparison(a: CelValue, b: CelValue): void {
  if (isObject(a) && isObject(b)) spend(meter(), weigh(a));
  else spend(meter(), Math.min(textWork(a), textWork(b)));
}

/** The work of comparing all that is in a value; gives up where it is more than is left. */
function weigh(value: CelValue): number {
  let work = 0;
  const stack: CelValue[] = [value];
  for (let part = stack.pop(); part !== undefined; part = stack.pop()) {
    work += ELEMENT_WORK + textWork(part);
    if (work > meter().left) return work;
    if (!isCelList(part) && !isCelMap(part)) continue;
    work += COLLECTION_WORK;
    spend(meter(), part.size);
    for (const member of part.values()) stack.push(member);
  }
  return work;
}

function texts(): readonly CelFunc[] {
  const comparisons = ["_<_", "_<=_", "_>_", "_>=_"].map((name) => {
    const compare = builtin(name);
    return celFunc(name, [STRING, STRING], BOOL, (a, b) => {
      spendComparison(a, b);
      return compare(a, b) === true;
    });
  });
  return [
    ...comparisons,
    celFunc("_+_", [STRING, STRING], STRING, (a, b) => {
      spend(meter(), Math.ceil((a.length + b.length) / SEARCHED));
      return a + b;
    }),
    celFunc("size", [STRING], INT, codePoints),
    celMethod("size", STRING, [], INT, function () {
      return codePoints(this);
    }),
    celMethod("startsWith", STRING, [STRING], BOOL, function (part) {
      spend(meter(), textWork(part));
      return this.startsWith(part);
    }),
    celMethod("endsWith", STRING, [STRING], BOOL, function (part) {
      spend(meter(), textWork(part));
      return this.endsWith(part);
    }),
    celMethod("contains", STRING, [STRING], BOOL, function (part) {
      spend(meter(), Math.ceil((this.length + part.length) / SEARCHED));
      return this.includes(part);
    }),
    celMethod("matches", STRING, [STRING], BOOL, function (pattern) {
      return patternOf(pattern).test(this, meter());
    }),
  ];
}

/** Characters, not UTF-16 units. */
function codePoints(text: string): bigint {
  spend(meter(), Math.ceil(text.length / COUNTED));
  let count = 0;
  for (let at = 0; at < text.length; count++) at += (text.codePointAt(at) ?? 0) > 0xffff ? 2 : 1;
  return BigInt(count);
}

/** A pattern of the policy is compiled when it is loaded; one that comes with the call, each time. */
function patternOf(source: string): LinearPattern {
  const known = evaluation?.patterns.get(source);
  if (known !== undefined) return known;
  spend(meter(), source.length * PARSE_WORK);
  const pattern = compilePattern(source);
  if ("fault" in pattern) throw new Error(pattern.fault.message);
  spend(meter(), pattern.size * COMPILE_WORK);
  return pattern;
}

const INTEGER = /^[+-]?[0-9]{1,19}$/;
const DECIMAL = /^[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?$/;
const LONGEST_NUMBER = 400;

/** The engine's own take whatever JavaScript does: `""` and white space for 0, `0x10` for 16, any other text for NaN. */
function conversions(): readonly CelFunc[] {
  const toInt = builtin("int");
  return [
    celFunc("int", [STRING], INT, (text) => {
      const value = INTEGER.test(text) ? toInt(text) : undefined;
      if (typeof value !== "bigint") throw new Error("not an integer");
      return value;
    }),
    celFunc("double", [STRING], DOUBLE, (text) => {
      const value = text.length <= LONGEST_NUMBER && DECIMAL.test(text) ? Number(text) : Number.NaN;
      if (!Number.isFinite(value)) throw new Error("not a number");
      return value;
    }),
  ];
}
