/** Pictures of policies: every format shows exactly what may follow what, and can be read. */
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { graphPolicy } from "../src/policy-graph.ts";
import { layOut } from "../src/policy-graph-layout.ts";
import { type Loop, splitLoops } from "../src/policy-graph-loops.ts";
import { type Picture, pictureOf } from "../src/policy-graph-picture.ts";
import { plainPolicy } from "./arbitrary-policy.ts";
import {
  action,
  compilePlain,
  fn,
  isComplete,
  mayFollow,
  type PlainOrder,
  type PlainPolicy,
  policyOf,
  stepsOf,
} from "./plain-policy.ts";

const payments = policyOf(
  "intake, review?, execution{1,3}, settle",
  {
    "*lookup": ["READ_INPUT"],
    intake: ["CHECK_STATE"],
    review: ["REQUEST_REVIEW"],
    execution: ["WRITE_DB", "CALL_EXTERNAL_API"],
    settle: ["SEAL_SEQUENCE"],
  },
  {
    sealOn: ["SEAL_SEQUENCE"],
    tools: [{ name: "transfer_funds", functions: ["execution"], action: "WRITE_DB" }],
    constraints: [
      { kind: "precedence", first: fn("intake"), second: fn("lookup") },
      { kind: "never", first: action("CALL_EXTERNAL_API"), second: action("WRITE_DB") },
    ],
  },
);

/** Arrows by the names of their ends. */
function arrowsOf({ nodes, edges }: Picture): readonly string[] {
  return edges
    .map(({ from, to, ending }) => arrow(nodes[from]?.name, nodes[to]?.name, ending))
    .toSorted();
}

function arrow(from: string | undefined, to: string | undefined, ending?: string): string {
  return `${from} -> ${to}${ending === undefined ? "" : `: ${ending}`}`;
}

describe("what a picture shows", () => {
  test("agrees with trying every run, on random orders", () => {
    fc.assert(
      fc.property(plainPolicy, (plain) => {
        expect(arrowsOf(pictureOf(compilePlain(plain)))).toEqual(arrowsByTrying(plain));
      }),
      { numRuns: 1000 },
    );
  });

  test("how often a step comes agrees with the order's text", () => {
    fc.assert(
      fc.property(plainPolicy, (plain) => {
        const { nodes } = pictureOf(compilePlain(plain));
        const times = nodes.flatMap((node) =>
          node.kind === "step" ? [`${node.name} ${node.times}`] : [],
        );
        expect(times.toSorted()).toEqual(
          stepsOf(plain.order)
            .map((step) => `${step} ${timesText(countOf(plain.order, step))}`)
            .toSorted(),
        );
      }),
      { numRuns: 1000 },
    );
  });

  test("arrows are those that lead on, which never come back, and loops", () => {
    fc.assert(
      fc.property(plainPolicy, (plain) => {
        const { nodes, edges, forward, loops } = pictureOf(compilePlain(plain));
        const all = [...forward.map(pairText), ...loops.flatMap(pairsOf)];
        expect(all.toSorted()).toEqual(edges.map(pairText).toSorted());
        expect(splitLoops(nodes.length, forward).loops).toEqual([]);
      }),
      { numRuns: 1000 },
    );
  });

  test("functions, action types that seal, tools, what is outside the order, and constraints", () => {
    const { nodes, free, notes } = pictureOf(payments);
    expect(nodes.map(({ name, lines }) => [name, ...lines])).toEqual([
      ["start"],
      ["intake", "CHECK_STATE"],
      ["review", "REQUEST_REVIEW"],
      ["execution", "WRITE_DB, CALL_EXTERNAL_API", "tools: transfer_funds"],
      ["settle", "SEAL_SEQUENCE (seals)"],
      ["end"],
    ]);
    expect(free).toEqual(["lookup: READ_INPUT"]);
    expect(notes).toEqual([
      "lookup only after intake",
      "action WRITE_DB never after action CALL_EXTERNAL_API",
    ]);
  });

  test("a function that is named otherwise than its step is named in it", () => {
    const { nodes } = pictureOf(policyOf("a", { a: ["X"], other: { step: "a", actions: [] } }));
    expect(nodes[1]?.lines).toEqual(["a: X", "other: no action type"]);
  });
});

function pairText({ from, to }: { readonly from: number; readonly to: number }): string {
  return `${from} ${to}`;
}

function pairsOf({ sources, targets }: Loop): readonly string[] {
  return sources.flatMap((from) => targets.map((to) => `${from} ${to}`));
}

/** By walking the order with its derivatives, each with the step that led there. */
function arrowsByTrying(plain: PlainPolicy): readonly string[] {
  const steps = stepsOf(plain.order);
  const runs: (readonly string[])[] = [[]];
  const met = new Set<string>();
  const arrows = new Set<string>();
  const endings = new Map<string, { ends: boolean; natural: boolean }[]>();
  for (const run of runs) {
    const next = steps.filter((step) => mayFollow(plain.order, [...run, step]) !== undefined);
    const from = run.at(-1) ?? "start";
    for (const step of next) {
      arrows.add(arrow(from, step));
      const key = `${step} ${mayFollow(plain.order, [...run, step])}`;
      if (!met.has(key)) runs.push([...run, step]);
      met.add(key);
    }
    const ends = isComplete(plain, run.map(asAllowed));
    const known = endings.get(from) ?? [];
    endings.set(from, [...known, { ends, natural: ends && next.length === 0 }]);
  }
  for (const [from, states] of endings) {
    if (!states.some(({ ends }) => ends)) continue;
    const seals = plain.functions.some(
      ({ step, actions }) => step === from && actions.some((one) => plain.sealOn.includes(one)),
    );
    const isNatural = states.every(({ natural }) => natural);
    const maySeal = from !== "start" && (seals || states.some(({ natural }) => natural));
    arrows.add(arrow(from, "end", isNatural ? "seals" : maySeal ? "may seal" : "may end"));
  }
  return [...arrows].toSorted();
}

function asAllowed(step: string): Parameters<typeof isComplete>[1][number] {
  return {
    call: "",
    function: step,
    step,
    action_type: "",
    tool: undefined,
    sealed: false,
    conditions: [],
  };
}

type Count = readonly [least: number, most: number];

/** Straight from the tree. */
function countOf(order: PlainOrder, step: string): Count {
  if (order.kind === "step") return order.name === step ? [1, 1] : [0, 0];
  if (order.kind === "repeat") {
    const [least, most] = countOf(order.item, step);
    return [least * order.min, most === 0 ? 0 : most * order.max];
  }
  const counts = order.items.map((item) => countOf(item, step));
  const [leasts, mosts] = [counts.map(([least]) => least), counts.map(([, most]) => most)];
  return order.kind === "choice"
    ? [Math.min(...leasts), Math.max(...mosts)]
    : [leasts.reduce((sum, one) => sum + one, 0), mosts.reduce((sum, one) => sum + one, 0)];
}

function timesText([least, most]: Count): string {
  if (most === Infinity) return `${least}+×`;
  return least === most ? `${least}×` : `${least}–${most}×`;
}

describe("as plain text", () => {
  test("a policy is a column of steps, with lanes for what leads elsewhere", () => {
    expect(graphPolicy(payments, "ascii")).toBe(`plain 1
intake, review?, execution{1,3}, settle

  (start)
    v
+-----------------------------+
| intake  1x                  |
| CHECK_STATE                 |--+
+-----------------------------+  |
    v                            |
+-----------------------------+  |
| review  0-1x                |  |
| REQUEST_REVIEW              |  |
+-----------------------------+  |
    v                            |
+-----------------------------+  |
| execution  1-3x             |<-+
| WRITE_DB, CALL_EXTERNAL_API |  |
| tools: transfer_funds       |--+
+-----------------------------+
    v
+-----------------------------+
| settle  1x  [seals]         |
| SEAL_SEQUENCE (seals)       |
+-----------------------------+
    v
  (end)

at any time
  lookup: READ_INPUT

constraints
  lookup only after intake
  action WRITE_DB never after action CALL_EXTERNAL_API
`);
  });

  test("every arrow can be followed in it, on random orders", () => {
    fc.assert(
      fc.property(plainPolicy, (plain) => {
        const policy = compilePlain(plain);
        const picture = pictureOf(policy);
        expect(arrowsIn(graphPolicy(policy, "ascii"))).toEqual(
          arrowsOf(picture).map((one) => one.replace(/:.*/, "")),
        );
      }),
      { numRuns: 1000 },
    );
  });

  test("it is ASCII, and not wider than a terminal, however long the lists are", () => {
    const actions = Array.from({ length: 30 }, (_, index) => `READ_SOMETHING_${index}`);
    const steps = Array.from({ length: 15 }, (_, index) => `step_${index}`);
    const policy = policyOf(
      `(${steps.join(" | ")})*`,
      Object.fromEntries(steps.map((step) => [step, actions])),
    );
    const text = graphPolicy(policy, "ascii");
    expect(text).toMatch(/^[\n -~]*$/);
    expect(Math.max(...text.split("\n").map(({ length }) => length))).toBeLessThanOrEqual(100);
  });
});

/** Reads a drawing as a person would: stems lead to the node below, lanes from every tap to the arrow head. */
function arrowsIn(drawing: string): readonly string[] {
  const rows =
    drawing.split("\n\nat any time")[0]?.split("\n\nconstraints")[0]?.split("\n").slice(2) ?? [];
  const cell = (row: number, column: number): string => rows[row]?.[column] ?? " ";
  const names = namesByRow(rows);
  const arrows: string[] = [];
  for (const [row, text] of rows.entries())
    if (text[4] === "v" && text.slice(0, 4).trim() === "")
      arrows.push(arrow(names[row - 1], names[row + 1]));
  const right = Math.max(...rows.map((text) => /^[+| ][ -].*[|+)]/.exec(text)?.[0].length ?? 0));
  const width = Math.max(...rows.map(({ length }) => length), right);
  for (let column = 0; column < width; column++) {
    let taps: number[] = [];
    for (let row = 0; row <= rows.length; row++) {
      const sign = cell(row, column);
      const inBox = names[row] !== undefined && column < boxWidth(rows[row] ?? "");
      if (inBox || (sign !== "|" && sign !== "+")) {
        arrows.push(...laneArrows(taps, rows, names));
        taps = [];
      } else if (sign === "+") taps.push(row);
    }
  }
  return arrows.toSorted();
}

/** The columns that the box takes in this row, or the round node. */
function boxWidth(row: string): number {
  return (/^\+-+\+|^\|[^|]*\||^ {2}\(\w+\)/.exec(row)?.[0] ?? "").length;
}

function namesByRow(rows: readonly string[]): readonly (string | undefined)[] {
  let name: string | undefined;
  let isTitle = false;
  return rows.map((row, index) => {
    const round = /^ {2}\((\w+)\)/.exec(row)?.[1];
    if (round !== undefined) return round;
    if (row.startsWith("+-")) {
      isTitle = rows[index + 1]?.startsWith("|") === true && !rows[index - 1]?.startsWith("|");
      if (isTitle) name = /^\| (\w+)/.exec(rows[index + 1] ?? "")?.[1];
      return name;
    }
    return row.startsWith("|") ? name : undefined;
  });
}

function laneArrows(
  taps: readonly number[],
  rows: readonly string[],
  names: readonly (string | undefined)[],
): readonly string[] {
  const isEntry = (row: number): boolean => rows[row]?.[boxWidth(rows[row] ?? "")] === "<";
  const [target] = taps.filter(isEntry);
  if (target === undefined) return [];
  return taps.filter((row) => !isEntry(row)).map((row) => arrow(names[row], names[target]));
}

describe("as Mermaid", () => {
  test("a policy is a flowchart", () => {
    expect(graphPolicy(payments, "mermaid")).toBe(`---
title: "plain 1: intake, review?, execution{1,3}, settle"
---
flowchart TD
  n0(("start"))
  n1["<b>intake</b> 1×<br/>CHECK_STATE"]
  n2["<b>review</b> 0–1×<br/>REQUEST_REVIEW"]
  n3["<b>execution</b> 1–3×<br/>WRITE_DB, CALL_EXTERNAL_API<br/>tools: transfer_funds"]
  n4["<b>settle</b> 1×<br/>SEAL_SEQUENCE (seals)"]
  n5((("end")))
  n0 --> n1
  n1 --> n2
  n1 --> n3
  n2 --> n3
  n3 --> n4
  n4 -- seals --> n5
  n3 -. again .-> n3
  subgraph free["at any time"]
    free_text["lookup: READ_INPUT"]
  end
  subgraph notes["constraints"]
    notes_text["lookup only after intake<br/>action WRITE_DB never after action CALL_EXTERNAL_API"]
  end
`);
  });

  test("every arrow is in it, through the point where a loop begins again if need be", () => {
    fc.assert(
      fc.property(plainPolicy, (plain) => {
        const policy = compilePlain(plain);
        const picture = pictureOf(policy);
        expect(mermaidArrows(graphPolicy(policy, "mermaid"))).toEqual(
          picture.edges.map(({ from, to }) => `n${from} n${to}`).toSorted(),
        );
      }),
      { numRuns: 1000 },
    );
  });
});

function mermaidArrows(text: string): readonly string[] {
  const arrows = [...text.matchAll(/^ {2}(\w+) -.*> (\w+)$/gm)].map(([, from = "", to = ""]) => ({
    from,
    to,
  }));
  return arrows
    .flatMap(({ from, to }) =>
      to.startsWith("again")
        ? arrows.filter((one) => one.from === to).map((one) => `${from} ${one.to}`)
        : from.startsWith("again")
          ? []
          : [`${from} ${to}`],
    )
    .toSorted();
}

describe("as SVG", () => {
  test("boxes do not overlap, and lie within the picture", () => {
    fc.assert(
      fc.property(plainPolicy, (plain) => {
        const svg = graphPolicy(compilePlain(plain), "svg");
        const [, width = 0, height = 0] = (/viewBox="0 0 (\S+) (\S+)"/.exec(svg) ?? []).map(Number);
        const boxes = boxesIn(svg);
        expect(boxes.map(({ name }) => name).toSorted()).toEqual(stepsOf(plain.order).toSorted());
        for (const [index, box] of boxes.entries()) {
          expect(box.left).toBeGreaterThanOrEqual(0);
          expect(box.right).toBeLessThanOrEqual(width);
          expect(box.bottom).toBeLessThanOrEqual(height);
          for (const other of boxes.slice(index + 1)) expect(overlap(box, other)).toBe(false);
        }
      }),
      { numRuns: 500 },
    );
  });

  test("it is well-formed, and loads nothing", () => {
    const svg = graphPolicy(payments, "svg");
    expect(unclosed(svg)).toEqual([]);
    expect(svg.replace("http://www.w3.org/2000/svg", "")).not.toMatch(
      /https?:|href|<script|@import/,
    );
    expect(svg).toContain(">lookup only after intake</text>");
    expect(svg).toContain(">seals</text>");
  });

  test("every edge has a way down from box to box, on random orders", () => {
    fc.assert(
      fc.property(plainPolicy, (plain) => {
        const { nodes, forward } = pictureOf(compilePlain(plain));
        const boxes = nodes.map(({ name }) => ({ width: 40 + 10 * name.length, height: 30 }));
        const edges = forward.map(({ from, to }) => ({ from, to, isBack: false, bundle: `${to}` }));
        const { places, pieces } = layOut({ boxes, edges, below: [] });
        for (const { from, to, bundle } of edges) {
          const start = { x: places[from]?.x, y: (places[from]?.y ?? 0) + 30 };
          const ends = waysFrom(
            start,
            pieces.filter((piece) => piece.bundle === bundle),
          );
          expect(ends).toContainEqual(places[to]);
        }
      }),
      { numRuns: 500 },
    );
  });

  test("a large order is drawn in bounded time", () => {
    const steps = Array.from({ length: 150 }, (_, index) => `s${index}`);
    const policy = policyOf(
      `(${steps.join(" | ")}){2}`,
      Object.fromEntries(steps.map((step) => [step, ["X"]])),
    );
    const before = performance.now();
    for (const format of ["svg", "ascii", "mermaid"] as const) graphPolicy(policy, format);
    expect(performance.now() - before).toBeLessThan(10_000);
  });
});

type Point = { readonly x: number | undefined; readonly y: number };

function waysFrom(
  start: Point,
  pieces: readonly { readonly from: Point; readonly to: Point }[],
): readonly Point[] {
  const met: Point[] = [start];
  for (const at of met)
    for (const { from, to } of pieces)
      if (from.x === at.x && from.y === at.y && !met.includes(to)) met.push(to);
  return met;
}

interface BoxIn {
  readonly name: string;
  readonly left: number;
  readonly top: number;
  readonly right: number;
  readonly bottom: number;
}

/** Boxes lie in a group that is moved. */
function boxesIn(svg: string): readonly BoxIn[] {
  const [, moveX = 0, moveY = 0] = (
    /<g transform="translate\((\S+) (\S+)\)">\n/.exec(svg) ?? []
  ).map(Number);
  const boxes = svg.matchAll(
    /<rect class="step" x="(\S+)" y="(\S+)" width="(\S+)" height="(\S+)".*?class="name"[^>]*>([^<]*)</g,
  );
  return [...boxes].map(([, x, y, width, height, name = ""]) => {
    const [left, top] = [Number(x) + moveX, Number(y) + moveY];
    return { name, left, top, right: left + Number(width), bottom: top + Number(height) };
  });
}

function overlap(a: BoxIn, b: BoxIn): boolean {
  return a.left < b.right && b.left < a.right && a.top < b.bottom && b.top < a.bottom;
}

/** Tags that were opened and not closed, or closed and not opened. */
function unclosed(xml: string): readonly string[] {
  const open: string[] = [];
  for (const [, close, name = "", empty] of xml.matchAll(/<(\/?)(\w+)[^>]*?(\/?)>/g)) {
    if (empty === "/") continue;
    if (close !== "/") open.push(name);
    else if (open.pop() !== name) return [...open, `/${name}`];
  }
  return open;
}

test("the same policy gives the same picture, and another format is refused", () => {
  for (const format of ["svg", "ascii", "mermaid"] as const)
    expect(graphPolicy(payments, format)).toBe(graphPolicy(payments, format));
  expect(() => graphPolicy(payments, "dot" as "svg")).toThrow(TypeError);
});
