/** A policy's text as a tree of entries with their places: what comments are tied to, and what is laid out. */
import {
  isMap,
  isScalar,
  isSeq,
  LineCounter,
  type Pair,
  type ParsedNode,
  Parser,
  type YAMLMap,
  type YAMLSeq,
} from "yaml";

/** A number, a string, true, false or null; `source` is how it stands in the text, empty where nothing does. */
export interface ScalarValue {
  readonly kind: "scalar";
  readonly value: unknown;
  readonly source: string;
}

/** A map or a list. */
export interface Collection {
  readonly kind: "map" | "list";
  /** Written with brackets. */
  readonly flow: boolean;
  /** Offsets in the text; `end` is exclusive. */
  readonly start: number;
  readonly end: number;
  readonly entries: readonly Entry[];
}

/** What stands behind a key or a dash. */
export type LayoutValue = ScalarValue | Collection;

/** A member of a map, or an item of a list, which has no key. */
export interface Entry {
  readonly key?: string;
  readonly value: LayoutValue;
  readonly start: number;
  readonly end: number;
  /** From 1; for an item that of its dash. */
  readonly column: number;
  /** A blank line stands before it. */
  readonly blank: boolean;
}

/** A comment with its `#`. */
export interface Comment {
  readonly text: string;
  readonly offset: number;
  readonly column: number;
  /** Nothing stands before it on its line. */
  readonly alone: boolean;
  readonly blank: boolean;
}

/** The tree and the comments of a text that `readDocument` accepts; `root` is its node. */
export function layoutTree(
  text: string,
  root: ParsedNode,
): { readonly tree: LayoutValue; readonly comments: readonly Comment[] } {
  const lines = new LineCounter();
  const { comments, dashes } = tokensOf(text, lines);
  const reading: Reading = { lines, dashes, rows: text.split("\n") };
  return {
    tree: valueOf(root, reading),
    comments: comments.map(({ source, offset }) => ({
      text: source.trimEnd(),
      offset,
      ...placeOf(offset, reading),
    })),
  };
}

interface Reading {
  readonly lines: LineCounter;
  /** Offsets of the dashes of block lists, in order. */
  readonly dashes: readonly number[];
  readonly rows: readonly string[];
}

function tokensOf(
  text: string,
  lines: LineCounter,
): {
  readonly comments: readonly { readonly source: string; readonly offset: number }[];
  readonly dashes: readonly number[];
} {
  const comments: { source: string; offset: number }[] = [];
  const dashes: number[] = [];
  const stack: object[] = [...new Parser(lines.addNewLine).parse(text)];
  for (let token = stack.pop(); token !== undefined; token = stack.pop()) {
    if ("offset" in token && typeof token.offset === "number" && "type" in token) {
      if (token.type === "seq-item-ind") dashes.push(token.offset);
      else if (token.type === "comment" && "source" in token)
        comments.push({ source: String(token.source), offset: token.offset });
    }
    for (const member of Object.values(token))
      if (typeof member === "object" && member !== null) stack.push(member);
  }
  return {
    comments: comments.toSorted((a, b) => a.offset - b.offset),
    dashes: dashes.toSorted((a, b) => a - b),
  };
}

function valueOf(node: ParsedNode | null, reading: Reading): LayoutValue {
  if (isMap(node)) {
    const pairs = (node as YAMLMap<ParsedNode, ParsedNode | null>).items;
    return collection(
      "map",
      node,
      pairs.map((pair) => memberOf(pair, reading)),
    );
  }
  if (isSeq(node)) {
    const items = (node as YAMLSeq<ParsedNode>).items;
    return collection(
      "list",
      node,
      items.map((item) => itemOf(item, node.flow === true, reading)),
    );
  }
  const { value = null, source = "" } = isScalar(node) ? node : {};
  return { kind: "scalar", value, source };
}

function collection(
  kind: Collection["kind"],
  node: ParsedNode & { readonly flow?: boolean | undefined },
  entries: readonly Entry[],
): Collection {
  const flow = node.flow === true;
  const start = node.range[0];
  const end = flow ? node.range[1] : (entries.at(-1)?.end ?? node.range[1]);
  return { kind, flow, start, end, entries };
}

function memberOf({ key, value }: Pair<ParsedNode, ParsedNode | null>, reading: Reading): Entry {
  const start = key.range[0];
  const { column, blank } = placeOf(start, reading);
  const read = valueOf(value, reading);
  const end = endOf(value, read) ?? key.range[1];
  return {
    key: isScalar(key) ? String(key.value) : "",
    value: read,
    start,
    end,
    column,
    blank,
  };
}

function itemOf(node: ParsedNode, flow: boolean, reading: Reading): Entry {
  const start = flow ? node.range[0] : (reading.dashes[dashBefore(node, reading)] ?? node.range[0]);
  const { column, blank } = placeOf(start, reading);
  const value = valueOf(node, reading);
  return { value, start, end: endOf(node, value) ?? start + 1, column, blank };
}

/** Nothing where the value is not there: the parser says that it stands behind the comments that follow. */
function endOf(node: ParsedNode | null, value: LayoutValue): number | undefined {
  if (value.kind !== "scalar") return value.end;
  return value.source === "" && value.value === null ? undefined : node?.range[1];
}

function dashBefore(node: ParsedNode, { dashes }: Reading): number {
  // The list inside an item begins at its own dash, which is not that of the item.
  const limit = isSeq(node) && node.flow !== true ? node.range[0] - 1 : node.range[0];
  let low = 0;
  let high = dashes.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if ((dashes[middle] ?? 0) <= limit) low = middle + 1;
    else high = middle;
  }
  return low - 1;
}

function placeOf(
  offset: number,
  { lines, rows }: Reading,
): Pick<Comment, "column" | "alone" | "blank"> {
  const { line, col } = lines.linePos(offset);
  const row = rows[line - 1] ?? "";
  return {
    column: col,
    alone: row.slice(0, col - 1).trim() === "",
    blank: line > 1 && rows[line - 2]?.trim() === "",
  };
}
