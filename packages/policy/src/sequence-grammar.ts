/** The step order as text: parses the sequence grammar of policy.md into a tree, and prints the tree in its normal form. */

/** A step order. Lists and choices are flat and hold two items or more; `{1,1}` leaves no trace. */
export type Sequence =
  | { readonly kind: "step"; readonly name: string }
  | { readonly kind: "list" | "choice"; readonly items: readonly Sequence[] }
  | Repeat;

/** `item{min,max}`; without `max` it has no upper bound. */
export interface Repeat {
  readonly kind: "repeat";
  readonly item: Sequence;
  readonly min: number;
  readonly max: number | undefined;
  /** Where the counter stands in its text, from 0; absent for a `{step, min, max}` item. */
  readonly offset?: number;
}

/** Why a text is not a sequence; `offset` counts its characters from 0. */
interface SequenceFault {
  readonly offset: number;
  readonly message: string;
  readonly hint?: string;
}

/** What a text says: a tree and how deep its parentheses go, or the first fault. */
export type ParsedSequence =
  | { readonly tree: Sequence; readonly depth: number }
  | { readonly fault: SequenceFault };

/** A step's name in the grammar. */
export const STEP_NAME: RegExp = /^[A-Za-z_][A-Za-z0-9_.-]{0,127}$/;
/** Parentheses within parentheses, as written. */
export const MAX_DEPTH = 3;
/** The product of the counters along one path of the tree. */
export const MAX_PRODUCT = 1000;

const TOKEN = /[A-Za-z_][A-Za-z0-9_.-]*|[0-9]+|[,|()?*+{}]/y;
const SPACE = /[ \t\r\n]*/y;

/** Parses an expression such as `intake, (read | check)*, settle{1,3}`. Linear in the text; never throws. */
export function parseSequence(text: string): ParsedSequence {
  const cursor: Cursor = { text, offset: 0, token: "", end: 0, depth: 0, deepest: 0 };
  try {
    advance(cursor);
    const tree = parseChoice(cursor);
    if (cursor.token !== "") throw unexpected(cursor, "',', '|' or the end");
    checkProduct(tree, 1);
    return { tree, depth: cursor.deepest };
  } catch (error) {
    if (error instanceof Refusal) return { fault: error.fault };
    throw error;
  }
}

/** The item of a YAML list that spells out its counter. */
export function countedStep(name: string, min: number, max: number): Sequence {
  return repeat({ kind: "step", name }, min, max, undefined);
}

/** The parts one after another; a nested list is the same list. */
export function sequenceOf(items: readonly Sequence[]): Sequence {
  return flat("list", items);
}

/** The step names in order of first appearance: the index is the step's number. */
export function stepNames(tree: Sequence): readonly string[] {
  const names = new Set<string>();
  collectNames(tree, names);
  return [...names];
}

/** The normal form of policy.md, Identity: `, ` and ` | `, fewest parentheses, shortest suffixes. */
export function printSequence(tree: Sequence): string {
  switch (tree.kind) {
    case "step":
      return tree.name;
    case "choice":
      return tree.items.map(printSequence).join(" | ");
    case "list":
      return tree.items
        .map((item) => (item.kind === "choice" ? `(${printSequence(item)})` : printSequence(item)))
        .join(", ");
    case "repeat":
      return (
        (tree.item.kind === "step" ? tree.item.name : `(${printSequence(tree.item)})`) +
        printSuffix(tree)
      );
  }
}

interface Cursor {
  readonly text: string;
  /** Where the current token begins, and where it ends. */
  offset: number;
  end: number;
  /** Empty at the end of the text. */
  token: string;
  depth: number;
  deepest: number;
}

/** Leaves the recursion with the first fault; never crosses the module's edge. */
class Refusal extends Error {
  readonly fault: SequenceFault;

  constructor(offset: number, message: string, hint?: string) {
    super(message);
    this.fault = hint === undefined ? { offset, message } : { offset, message, hint };
  }
}

function parseChoice(cursor: Cursor): Sequence {
  const items = [parseList(cursor)];
  while (cursor.token === "|") {
    advance(cursor);
    items.push(parseList(cursor));
  }
  return flat("choice", items);
}

function parseList(cursor: Cursor): Sequence {
  const items = [parseRepeat(cursor)];
  while (cursor.token === ",") {
    advance(cursor);
    items.push(parseRepeat(cursor));
  }
  return flat("list", items);
}

function parseRepeat(cursor: Cursor): Sequence {
  const item = parseAtom(cursor);
  const offset = cursor.offset;
  const bounds = parseSuffix(cursor);
  if (bounds === undefined) return item;
  if (/^[?*+{]/.test(cursor.token)) {
    throw new Refusal(
      cursor.offset,
      `a step or group takes one suffix, found a second: '${cursor.token}'`,
      "put parentheses around the first",
    );
  }
  return repeat(item, bounds.min, bounds.max, offset);
}

function parseAtom(cursor: Cursor): Sequence {
  if (cursor.token === "(") return parseGroup(cursor);
  if (!/^[A-Za-z_]/.test(cursor.token)) throw unexpected(cursor, "a step name or '('");
  if (!STEP_NAME.test(cursor.token))
    throw new Refusal(cursor.offset, "a step name has at most 128 characters");
  const name = cursor.token;
  advance(cursor);
  return { kind: "step", name };
}

function parseGroup(cursor: Cursor): Sequence {
  const { offset } = cursor;
  cursor.depth += 1;
  if (cursor.depth > MAX_DEPTH) throw new Refusal(offset, `parentheses deeper than ${MAX_DEPTH}`);
  cursor.deepest = Math.max(cursor.deepest, cursor.depth);
  advance(cursor);
  const tree = parseChoice(cursor);
  if (cursor.token === "") throw new Refusal(offset, "this '(' is never closed");
  if (cursor.token !== ")") throw unexpected(cursor, "',', '|' or ')'");
  cursor.depth -= 1;
  advance(cursor);
  return tree;
}

interface Bounds {
  readonly min: number;
  readonly max: number | undefined;
}

const SUFFIXES: ReadonlyMap<string, Bounds> = new Map([
  ["?", { min: 0, max: 1 }],
  ["*", { min: 0, max: undefined }],
  ["+", { min: 1, max: undefined }],
]);

function parseSuffix(cursor: Cursor): Bounds | undefined {
  if (cursor.token === "{") return parseCounter(cursor);
  const bounds = SUFFIXES.get(cursor.token);
  if (bounds !== undefined) advance(cursor);
  return bounds;
}

function parseCounter(cursor: Cursor): Bounds {
  const { offset } = cursor;
  advance(cursor);
  const min = parseNumber(cursor);
  let max: number | undefined = min;
  if (is(cursor, ",")) {
    advance(cursor);
    max = is(cursor, "}") ? undefined : parseNumber(cursor);
  }
  if (!is(cursor, "}")) throw unexpected(cursor, "'}'");
  advance(cursor);
  if (max === 0) throw new Refusal(offset, "a step that may never occur: the upper bound is 0");
  if (max !== undefined && min > max)
    throw new Refusal(offset, `the lower bound ${min} is above the upper bound ${max}`);
  return { min, max };
}

function parseNumber(cursor: Cursor): number {
  const { token, offset } = cursor;
  if (!/^[0-9]/.test(token)) throw unexpected(cursor, "a number");
  if (token.length > 1 && token.startsWith("0"))
    throw new Refusal(offset, `'${token}' has a leading zero`);
  // Caps the digits before they are counted, so that the message never prints a rounded number.
  if (token.length > 4) throw new Refusal(offset, `a counter above ${MAX_PRODUCT}`);
  advance(cursor);
  return Number(token);
}

/** A method and not a comparison in place, since `advance` changes the token behind the type checker's back. */
function is(cursor: Cursor, token: string): boolean {
  return cursor.token === token;
}

function advance(cursor: Cursor): void {
  SPACE.lastIndex = cursor.end;
  SPACE.test(cursor.text);
  cursor.offset = SPACE.lastIndex;
  TOKEN.lastIndex = cursor.offset;
  const match = TOKEN.exec(cursor.text);
  if (match === null && cursor.offset < cursor.text.length) {
    throw new Refusal(
      cursor.offset,
      `'${String.fromCodePoint(cursor.text.codePointAt(cursor.offset) ?? 0)}' has no meaning in a sequence`,
    );
  }
  cursor.token = match === null ? "" : match[0];
  cursor.end = cursor.offset + cursor.token.length;
}

function unexpected(cursor: Cursor, expected: string): Refusal {
  const found = cursor.token === "" ? "the end" : `'${cursor.token.slice(0, 40)}'`;
  return new Refusal(cursor.offset, `expected ${expected}, found ${found}`);
}

function checkProduct(tree: Sequence, outer: number): void {
  if (tree.kind === "step") return;
  if (tree.kind !== "repeat") {
    for (const item of tree.items) checkProduct(item, outer);
    return;
  }
  const product = outer * Math.max(1, tree.max ?? tree.min);
  if (product > MAX_PRODUCT)
    throw new Refusal(
      tree.offset ?? 0,
      `counters within one another multiply to ${product}, above ${MAX_PRODUCT}`,
    );
  checkProduct(tree.item, product);
}

function flat(kind: "list" | "choice", items: readonly Sequence[]): Sequence {
  const parts = items.flatMap((item) => (item.kind === kind ? item.items : [item]));
  const [only] = parts;
  return parts.length === 1 && only !== undefined ? only : { kind, items: parts };
}

function repeat(
  item: Sequence,
  min: number,
  max: number | undefined,
  offset: number | undefined,
): Sequence {
  if (min === 1 && max === 1) return item;
  return offset === undefined
    ? { kind: "repeat", item, min, max }
    : { kind: "repeat", item, min, max, offset };
}

function collectNames(tree: Sequence, names: Set<string>): void {
  if (tree.kind === "step") names.add(tree.name);
  else if (tree.kind === "repeat") collectNames(tree.item, names);
  else for (const item of tree.items) collectNames(item, names);
}

function printSuffix({ min, max }: Repeat): string {
  if (max === undefined) return min === 0 ? "*" : min === 1 ? "+" : `{${min},}`;
  return min === 0 && max === 1 ? "?" : `{${min},${max}}`;
}
