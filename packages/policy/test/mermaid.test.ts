/** Mermaid text is read by Mermaid's own parser: every step, every arrow, whatever the names. */
import DOMPurify from "dompurify";
import fc from "fast-check";
import mermaid from "mermaid";
import { expect, test } from "vitest";
import { parse } from "yaml";
import { compilePolicy, graphPolicy, pictureOf } from "../src/index.ts";
import { plainPolicy } from "./arbitrary-policy.ts";
import { compilePlain } from "./plain-policy.ts";

// Labels are made safe for a page, which takes a browser; what is read is the text as it stands.
Object.assign(DOMPurify, { addHook: () => {}, sanitize: (text: string) => text });

interface Read {
  /** Text by identifier. */
  readonly labels: ReadonlyMap<string, string>;
  readonly arrows: readonly string[];
}

/** What a reader of flowcharts has after parsing. */
interface Flowchart {
  getVertices(): ReadonlyMap<string, { readonly id: string; readonly text: string }>;
  getEdges(): readonly { readonly start: string; readonly end: string }[];
}

async function read(text: string): Promise<Read> {
  expect(await mermaid.parse(text)).toEqual({ diagramType: "flowchart-v2", config: {} });
  const diagram = await mermaid.mermaidAPI.getDiagramFromText(text);
  const chart = diagram.db as unknown as Flowchart;
  return {
    labels: new Map([...chart.getVertices()].map(([id, vertex]) => [id, vertex.text])),
    arrows: chart
      .getEdges()
      .map(({ start, end }) => `${start} ${end}`)
      .toSorted(),
  };
}

test("the parser is one that can say no", async () => {
  await expect(mermaid.parse("flowchart TD\n  n0 --> [")).rejects.toThrow("Parse error");
});

test("every step and every arrow of a policy arrives, on random policies", async () => {
  await fc.assert(
    fc.asyncProperty(plainPolicy, async (plain) => {
      const policy = compilePlain(plain);
      const { nodes, forward, loops } = pictureOf(policy);
      const { labels, arrows } = await read(graphPolicy(policy, "mermaid"));
      for (const [number, { name }] of nodes.entries())
        expect(labels.get(`n${number}`)).toContain(name);
      for (const { from, to } of forward) expect(arrows).toContain(`n${from} n${to}`);
      const isLoop = (one: string): boolean => one.includes("again");
      expect(arrows.filter((one) => !isLoop(one)).length).toBe(
        forward.length +
          loops
            .filter(({ sources, targets }) => sources.length === 1 || targets.length === 1)
            .reduce((sum, { sources, targets }) => sum + sources.length * targets.length, 0),
      );
    }),
    { numRuns: 200 },
  );
});

test("names that are words of Mermaid are names, and no version breaks out of the title", async () => {
  const names = ["end", "graph", "subgraph", "class", "click", "default", "style", "o-x", "x--y"];
  const version = `2 "quoted" --- %% %%{init: {"theme": "dark"}}%% <b> #35; 'y'`;
  const policy = compilePolicy({
    schema: "stepgate.policy/1",
    id: "words",
    version,
    sequence: `${names.join(", ")}, last.step-1`,
    functions: {
      ...Object.fromEntries(names.map((name) => [name, ["end", "a:b"]])),
      "last.step-1": ["X"],
      free: { step: "*", actions: ["graph"] },
    },
    tools: { subgraph: { function: "end", action: "end" } },
    constraints: [{ precedence: ["end", { tool: "subgraph" }] }],
  });
  const text = graphPolicy(policy, "mermaid");
  const { labels, arrows } = await read(text);
  const [, header = ""] = /^---\n(.*?)\n---\n/s.exec(text) ?? [];
  expect(parse(header).title).toBe(`words ${version}: ${names.join(", ")}, last.step-1`);
  for (const [index, name] of names.entries())
    expect(labels.get(`n${index + 1}`)).toContain(`<b>${name}</b>`);
  expect(arrows).toEqual(
    Array.from({ length: names.length + 2 }, (_, at) => `n${at} n${at + 1}`).toSorted(),
  );
});
