/** A picture as SVG, with nothing to load: a layered drawing from top to bottom. */
import {
  type Layout,
  type LayoutBox,
  type LayoutEdge,
  type LayoutInput,
  layOut,
  type Piece,
} from "./policy-graph-layout.ts";
import type { Loop } from "./policy-graph-loops.ts";
import type { Ending, Picture, PictureNode } from "./policy-graph-picture.ts";

const MARGIN = 24;
const PADDING = 12;
const LINE = 18;
/** Widths of letters in the two fonts, which are monospaced so that boxes fit everywhere. */
const LETTER = 7.3;
const TITLE_LETTER = 8.5;
/** Columns after which a text goes on in the next line. */
const MAX_TEXT = 44;
const MAX_LINES = 6;

/** Draws a complete SVG document. */
export function drawSvg(picture: Picture): string {
  const boxes = picture.nodes.map(boxOf);
  const selves = selfLoops(picture);
  const layout = layOut(withJunctions(picture, boxes));
  const [asides, header] = [asideOf(picture), headerOf(picture)];
  const wide = Math.max(layout.width + (selves.length > 0 ? 40 : 0), asides.width, header.width);
  const top = MARGIN + header.height;
  const [width, height] = [wide + 2 * MARGIN, top + layout.height + asides.height + MARGIN];
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${n(width)} ${n(height)}" width="${n(width)}" height="${n(height)}" role="img">`,
    `<title>${escape(picture.title)}</title>`,
    STYLE,
    `<rect class="page" width="100%" height="100%"/>`,
    `<g transform="translate(${MARGIN} ${MARGIN})">${header.text}</g>`,
    `<g transform="translate(${n(MARGIN + (wide - layout.width) / 2)} ${n(top)})">`,
    ...layout.pieces.map((piece) => drawPiece(piece)),
    ...selves.map((number) => drawLoop(layout, boxes, number)),
    ...picture.nodes.map((node, number) => drawNode(node, boxes[number], layout.places[number])),
    "</g>",
    `<g transform="translate(${MARGIN} ${n(top + layout.height)})">${asides.text}</g>`,
    "</svg>",
    "",
  ].join("\n");
}

/** Steps that may follow themselves, and go back to nothing else. */
function selfLoops({ loops }: Picture): readonly number[] {
  return loops.filter(isSelf).flatMap(({ sources }) => sources);
}

function isSelf({ sources, targets }: Loop): boolean {
  return sources.length === 1 && targets.length === 1 && sources[0] === targets[0];
}

/** Each loop has a point below its sources, one above its targets, and a way from the one up to the other. */
function withJunctions({ forward, loops }: Picture, boxes: readonly Box[]): LayoutInput {
  const all: LayoutBox[] = boxes.map(({ width, height }) => ({ width, height }));
  const edges: LayoutEdge[] = forward.map(({ from, to, ending }) => ({
    from,
    to,
    isBack: false,
    bundle: `${ending ?? "on"} to ${to}`,
  }));
  const below: (readonly [number, number])[] = [];
  for (const [index, { sources, targets }] of loops.filter((loop) => !isSelf(loop)).entries()) {
    const bundle = `loop ${index}`;
    const high = all.push({ ...POINT, bundle }) - 1;
    const low = all.push({ ...POINT, bundle }) - 1;
    for (const from of sources) edges.push({ from, to: low, isBack: false, bundle });
    for (const to of targets) edges.push({ from: high, to, isBack: false, bundle });
    edges.push({ from: low, to: high, isBack: true, bundle });
    const into = new Set(targets);
    const before = forward.filter(({ to }) => into.has(to)).map(({ from }) => from);
    below.push([high, low], ...before.map((one) => [one, high] as const));
  }
  return { boxes: all, edges, below };
}

const POINT = { width: 10, height: 0 };

interface Box {
  readonly width: number;
  readonly height: number;
  readonly lines: readonly string[];
}

function boxOf({ kind, name, times, lines }: PictureNode): Box {
  if (kind !== "step") return { width: 30, height: 30, lines: [] };
  const wrapped = lines.flatMap((line) => wrap(line, MAX_TEXT));
  const shown =
    wrapped.length > MAX_LINES
      ? [...wrapped.slice(0, MAX_LINES - 1), `… ${wrapped.length - MAX_LINES + 1} lines more`]
      : wrapped;
  const title = name.length * TITLE_LETTER + (times === "" ? 0 : (times.length + 2) * LETTER);
  const text = Math.max(0, ...shown.map(({ length }) => length)) * LETTER;
  return {
    width: Math.max(90, Math.max(title, text) + 2 * PADDING),
    height: (1 + shown.length) * LINE + 2 * PADDING - 4,
    lines: shown,
  };
}

/** Breaks between words; a word that is too long stands alone. */
function wrap(text: string, columns: number): readonly string[] {
  const rows: string[] = [];
  let row = "";
  for (const word of text.split(" ")) {
    if (row !== "" && row.length + 1 + word.length > columns) {
      rows.push(row);
      row = word;
    } else row = row === "" ? word : `${row} ${word}`;
  }
  return [...rows, row];
}

function drawPiece({ bundle, from, to, atBox }: Piece): string {
  const middle = (from.y + to.y) / 2;
  const way =
    Math.abs(from.x - to.x) < 0.5
      ? `V${n(to.y)}`
      : `C${n(from.x)} ${n(middle)} ${n(to.x)} ${n(middle)} ${n(to.x)} ${n(to.y)}`;
  const [kind = ""] = bundle.split(" to ");
  const style = kind.startsWith("loop") ? "back" : kind.startsWith("may") ? "may" : "on";
  const arrow = atBox.to ? ' marker-end="url(#arrow)"' : "";
  const label =
    ENDINGS.has(kind) && atBox.from
      ? `<text class="small" x="${n(from.x + 6)}" y="${n(from.y + 14)}">${kind}</text>`
      : "";
  return `<path class="${style}" d="M${n(from.x)} ${n(from.y)}${way}"${arrow}/>${label}`;
}

const ENDINGS: ReadonlySet<string> = new Set(["seals", "may seal", "may end"] satisfies Ending[]);

/** A step that may follow itself. */
function drawLoop(layout: Layout, boxes: readonly Box[], number: number): string {
  const { x, y } = layout.places[number] ?? { x: 0, y: 0 };
  const { width, height } = boxes[number] ?? { width: 0, height: 0 };
  const [side, low, high] = [x + width / 2, y + height * 0.75, y + height * 0.25];
  const bend = `C${n(side + 30)} ${n(low)} ${n(side + 30)} ${n(high)} ${n(side)} ${n(high)}`;
  return `<path class="back" d="M${n(side)} ${n(low)}${bend}" marker-end="url(#arrow)"/>`;
}

function drawNode(
  { kind, name, times }: PictureNode,
  box: Box | undefined,
  place: { readonly x: number; readonly y: number } | undefined,
): string {
  if (box === undefined || place === undefined) return "";
  const { x, y } = place;
  const { width, height, lines } = box;
  if (kind !== "step") {
    const ring =
      kind === "end" ? `<circle class="ring" cx="${n(x)}" cy="${n(y + 15)}" r="14"/>` : "";
    return `<g><title>${name}</title>${ring}<circle class="${kind}" cx="${n(x)}" cy="${n(y + 15)}" r="${kind === "end" ? 9 : 12}"/></g>`;
  }
  const left = x - width / 2 + PADDING;
  const texts = lines.map(
    (line, index) =>
      `<text x="${n(left)}" y="${n(y + PADDING + 10 + LINE * (index + 1))}">${escape(line)}</text>`,
  );
  return [
    `<g><rect class="step" x="${n(x - width / 2)}" y="${n(y)}" width="${n(width)}" height="${n(height)}" rx="6"/>`,
    `<text class="name" x="${n(left)}" y="${n(y + PADDING + 10)}">${escape(name)}</text>`,
    `<text class="times" x="${n(x + width / 2 - PADDING)}" y="${n(y + PADDING + 10)}">${times}</text>`,
    ...texts,
    "</g>",
  ].join("");
}

interface Panel {
  readonly text: string;
  readonly width: number;
  readonly height: number;
}

function headerOf({ title, order }: Picture): Panel {
  const rows = wrap(order, 2 * MAX_TEXT);
  return panel([
    { text: title, kind: "name" },
    ...rows.map((text) => ({ text, kind: "times left" })),
  ]);
}

/** What stands beside the order: functions at any time, and constraints. */
function asideOf({ free, notes }: Picture): Panel {
  const rows = [
    ...(free.length === 0 ? [] : [{ text: "at any time", kind: "name" }]),
    ...free.flatMap((line) => wrap(line, 2 * MAX_TEXT).map((text) => ({ text, kind: "" }))),
    ...(free.length === 0 || notes.length === 0 ? [] : [{ text: "", kind: "" }]),
    ...(notes.length === 0 ? [] : [{ text: "constraints", kind: "name" }]),
    ...notes.flatMap((line) => wrap(line, 2 * MAX_TEXT).map((text) => ({ text, kind: "" }))),
  ];
  return panel(rows.length === 0 ? [] : [{ text: "", kind: "" }, ...rows]);
}

function panel(rows: readonly { readonly text: string; readonly kind: string }[]): Panel {
  const texts = rows.map(({ text, kind }, index) => {
    const style = kind === "" ? "" : ` class="${kind}"`;
    return `<text${style} x="0" y="${n((index + 1) * LINE - 4)}">${escape(text)}</text>`;
  });
  return {
    text: texts.join(""),
    width: Math.max(0, ...rows.map(({ text }) => text.length)) * TITLE_LETTER,
    height: rows.length * LINE + (rows.length === 0 ? 0 : 14),
  };
}

/** At most one decimal, so that the same layout gives the same text. */
function n(value: number): string {
  return String(Math.round(value * 10) / 10);
}

function escape(text: string): string {
  return text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;");
}

const STYLE = `<style>
text { font: 12px ui-monospace, "DejaVu Sans Mono", Menlo, Consolas, monospace; fill: #424a53 }
.name { font-size: 14px; font-weight: bold; fill: #1f2328 }
.times { fill: #6e7781; text-anchor: end }
.left { text-anchor: start }
.small { font-size: 10px; fill: #6e7781 }
.page { fill: #ffffff }
.step { fill: #f6f8fa; stroke: #57606a }
.start, .end { fill: #1f2328 }
.ring { fill: none; stroke: #1f2328; stroke-width: 2 }
path { fill: none; stroke: #57606a; stroke-width: 1.4 }
.may { stroke-dasharray: 2 4 }
.back { stroke: #8250df; stroke-dasharray: 6 4 }
#arrow path { fill: context-stroke; stroke: none }
</style>
<defs><marker id="arrow" viewBox="0 0 8 8" refX="8" refY="4" markerWidth="7" markerHeight="7" orient="auto-start-reverse"><path d="M0 0L8 4L0 8z" fill="#57606a"/></marker></defs>`;
