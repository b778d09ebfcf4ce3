/** A picture as plain text: steps in a column, and lanes beside it for all that does not lead to the next step. */
import type { Picture, PictureEdge, PictureNode } from "./policy-graph-picture.ts";

const MAX_COLUMNS = 100;
const MAX_TEXT = 60;
const MIN_TEXT = 24;
/** Where the line from a step to the next one runs. */
const STEM = 4;

/** Draws in ASCII alone. */
export function drawAscii(picture: Picture): string {
  const lanes = lanesOf(picture.edges);
  const room = MAX_COLUMNS - 6 - 2 * lanes.size;
  const blocks = blocksOf(picture, Math.max(MIN_TEXT, Math.min(MAX_TEXT, room)));
  const grid = drawBlocks(blocks, picture.edges);
  drawLanes(grid, blocks, lanes);
  const body = grid.map((row) => row.join("").trimEnd());
  return `${[...heading(picture), ...body, ...section("at any time", picture.free), ...section("constraints", picture.notes)].join("\n")}\n`;
}

/** For each node, what leads to it other than straight from above. */
function lanesOf(edges: readonly PictureEdge[]): ReadonlyMap<number, readonly number[]> {
  const lanes = new Map<number, number[]>();
  for (const { from, to } of edges) {
    if (to === from + 1) continue;
    const sources = lanes.get(to);
    if (sources === undefined) lanes.set(to, [from]);
    else sources.push(from);
  }
  return lanes;
}

/** A node as rows of text: arrows come in at one row, and go out at another. */
interface Block {
  readonly rows: readonly string[];
  readonly entry: number;
  readonly exit: number;
  /** The column right of it. */
  readonly right: number;
}

function blocksOf(picture: Picture, width: number): readonly Block[] {
  const { nodes } = picture;
  const texts = nodes.map((node, number) => textsOf(node, endingText(picture, number), width));
  const inner = Math.max(...texts.flat().map(({ length }) => length));
  let top = 0;
  return nodes.map(({ kind, name }, number) => {
    const rows = kind === "step" ? framed(texts[number] ?? [], inner) : [`  (${name})`];
    const [entry, exit] = kind === "step" ? [top + 1, top + rows.length - 2] : [top, top];
    const block = { rows, entry, exit, right: rows[0]?.length ?? 0 };
    top += rows.length + 1;
    return block;
  });
}

/** What it says of a node from which an arrow leads to the end. */
function endingText({ edges, nodes }: Picture, number: number): string {
  const edge = edges.find(({ from, to }) => from === number && to === nodes.length - 1);
  return edge?.ending === undefined ? "" : `[${edge.ending}]`;
}

function textsOf(
  { name, times, lines }: PictureNode,
  ending: string,
  width: number,
): readonly string[] {
  const short = times.replace("×", "x").replace("–", "-");
  const title = [name, short, ending].filter((part) => part !== "").join("  ");
  return [
    ...wrapped(title, width),
    ...(lines.length === 0 ? [""] : lines).flatMap((line) => wrapped(line, width)),
  ];
}

/** Breaks after commas where it can. */
function wrapped(text: string, width: number): readonly string[] {
  const rows: string[] = [];
  let row = "";
  for (const word of text.split(/(?<= )/)) {
    if (row !== "" && row.length + word.trimEnd().length > width) {
      rows.push(row.trimEnd());
      row = "  ";
    }
    row += word;
    for (; row.length > width + 1; row = row.slice(width)) rows.push(row.slice(0, width));
  }
  return [...rows, row.trimEnd()];
}

function framed(texts: readonly string[], inner: number): readonly string[] {
  const border = `+${"-".repeat(inner + 2)}+`;
  return [border, ...texts.map((text) => `| ${text.padEnd(inner)} |`), border];
}

type Grid = string[][];

function drawBlocks(blocks: readonly Block[], edges: readonly PictureEdge[]): Grid {
  const straight = new Set(edges.filter(({ from, to }) => to === from + 1).map(({ from }) => from));
  return blocks.flatMap(({ rows }, number) => [
    ...rows.map((row) => [...row]),
    ...(number === blocks.length - 1
      ? []
      : [straight.has(number) ? [..."v".padStart(STEM + 1)] : []]),
  ]);
}

/** All that leads to one node from elsewhere than right above it: the rows, and where its lines begin there. */
interface Lane {
  readonly entry: Tap;
  readonly exits: readonly Tap[];
  readonly first: number;
  readonly last: number;
}

interface Tap {
  readonly row: number;
  /** The column right of the node. */
  readonly from: number;
}

/** Short lanes lie inside, and lanes that do not meet share a column. */
function drawLanes(
  grid: Grid,
  blocks: readonly Block[],
  sourcesOf: ReadonlyMap<number, readonly number[]>,
): void {
  const right = Math.max(...blocks.map(({ right: columns }) => columns));
  const lanes = [...sourcesOf].flatMap(([target, sources]) => laneOf(blocks, target, sources));
  const columns: Lane[][] = [];
  for (const lane of lanes.toSorted((a, b) => a.last - a.first - (b.last - b.first))) {
    const free = columns.findIndex((others) =>
      // With a row between them, so that they do not look like one.
      others.every(({ first, last }) => last + 1 < lane.first || first > lane.last + 1),
    );
    const index = free === -1 ? columns.push([]) - 1 : free;
    columns[index]?.push(lane);
    drawLane(grid, lane, right + 2 + 2 * index);
  }
}

function laneOf(
  blocks: readonly Block[],
  target: number,
  sources: readonly number[],
): readonly Lane[] {
  const into = blocks[target];
  if (into === undefined) return [];
  const entry = { row: into.entry, from: into.right };
  const exits = sources.flatMap((source) => {
    const block = blocks[source];
    return block === undefined ? [] : [{ row: block.exit, from: block.right }];
  });
  const rows = [entry, ...exits].map(({ row }) => row);
  return [{ entry, exits, first: Math.min(...rows), last: Math.max(...rows) }];
}

function drawLane(grid: Grid, { entry, exits, first, last }: Lane, column: number): void {
  for (let row = first; row <= last; row++) put(grid, row, column, "|");
  for (const { row, from } of [entry, ...exits]) {
    for (let at = from; at < column; at++) put(grid, row, at, "-");
    put(grid, row, column, "+");
  }
  put(grid, entry.row, entry.from, "<");
}

/** Where lines cross, the one from top to bottom is seen; a bend is seen before both. */
function put(grid: Grid, row: number, column: number, sign: string): void {
  const cells = grid[row];
  if (cells === undefined) return;
  while (cells.length <= column) cells.push(" ");
  const before = cells[column] ?? " ";
  if (STRENGTH.indexOf(sign) >= STRENGTH.indexOf(before)) cells[column] = sign;
}

const STRENGTH = " -|+<";

function heading({ title, order }: Picture): readonly string[] {
  return [...wrapped(title, MAX_COLUMNS), ...wrapped(order, MAX_COLUMNS), ""];
}

function section(title: string, texts: readonly string[]): readonly string[] {
  if (texts.length === 0) return [];
  return ["", title, ...texts.flatMap((text) => wrapped(`  ${text}`, MAX_COLUMNS))];
}
