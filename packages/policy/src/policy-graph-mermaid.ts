/** A picture as Mermaid text, which GitHub and many editors draw. */
import type { Loop } from "./policy-graph-loops.ts";
import type { Ending, Picture, PictureNode } from "./policy-graph-picture.ts";

/** A flowchart from top to bottom; loops and ends that do not seal for sure are dotted. */
export function drawMermaid(picture: Picture): string {
  const { title, order, nodes, forward, loops, free, notes } = picture;
  const lines = [
    "---",
    `title: ${JSON.stringify(`${title}: ${order}`)}`,
    "---",
    "flowchart TD",
    ...nodes.map((node, number) => `  n${number}${shape(node)}`),
    ...forward.map(({ from, to, ending }) => `  n${from} ${arrow(ending)} n${to}`),
    ...loops.flatMap(loopText),
    ...box("free", "at any time", free),
    ...box("notes", "constraints", notes),
  ];
  return `${lines.join("\n")}\n`;
}

/** Many that lead back to many meet in one point. */
function loopText({ sources, targets }: Loop, index: number): readonly string[] {
  if (sources.length === 1 || targets.length === 1)
    return sources.flatMap((from) => targets.map((to) => `  n${from} -. again .-> n${to}`));
  return [
    `  again${index}((again))`,
    ...sources.map((from) => `  n${from} -.-> again${index}`),
    ...targets.map((to) => `  again${index} -.-> n${to}`),
  ];
}

function shape({ kind, name, times, lines }: PictureNode): string {
  if (kind === "start") return `(("${name}"))`;
  if (kind === "end") return `((("${name}")))`;
  const heading = `<b>${escape(name)}</b> ${times}`.trim();
  return `["${[heading, ...lines.map(escape)].join("<br/>")}"]`;
}

function arrow(ending: Ending | undefined): string {
  if (ending === undefined) return "-->";
  return ending === "seals" ? "-- seals -->" : `-. ${ending} .->`;
}

/** A frame of its own with one text in it. */
function box(id: string, title: string, texts: readonly string[]): readonly string[] {
  if (texts.length === 0) return [];
  return [
    `  subgraph ${id}["${title}"]`,
    `    ${id}_text["${texts.map(escape).join("<br/>")}"]`,
    "  end",
  ];
}

/** Names hold nothing that Mermaid or HTML would read; this is for the day when one does. */
function escape(text: string): string {
  return text.replaceAll(/[&<>"#]/g, (letter) => `#${letter.codePointAt(0)};`);
}
