/** `stepgate graph`: the order of a policy as a picture, for a terminal, a page or a document. */
import { writeFile } from "node:fs/promises";
import { extname } from "node:path";
import type { CompiledPolicy } from "@stepgate/core";
import { GRAPH_FORMATS, type GraphFormat, graphPolicy, pictureOf } from "@stepgate/policy";
import { type Command, Option } from "commander";
import type { ExitCode, Output } from "../output.ts";
import { readPolicyFile } from "../policy-file.ts";
import type { Define } from "../program.ts";
import { reasonOf, unreadable } from "../reading.ts";

interface GraphOptions {
  readonly format?: GraphFormat;
  readonly output?: string;
}

/** Adds the command. */
export function addGraph(program: Command, define: Define): void {
  const command = program
    .command("graph")
    .description("the order of a policy as a picture")
    .argument("<policy>", "a policy file")
    .addOption(
      new Option(
        "--format <format>",
        "mermaid, svg, or ascii, which is the default but for a file named .svg, .mmd or .mermaid",
      ).choices(GRAPH_FORMATS),
    )
    .option("-o, --output <file>", "write the picture to a file");
  define(command, graph);
}

async function graph(output: Output, path: string, options: GraphOptions): Promise<ExitCode> {
  const { policy } = await readPolicyFile(path);
  const target = options.output;
  const format = options.format ?? FORMAT_OF[extname(target ?? "").toLowerCase()] ?? "ascii";
  const drawn = target === undefined && output.json ? "" : graphPolicy(policy, format);
  if (target !== undefined)
    await writeFile(target, drawn).catch((cause: unknown) => {
      throw unreadable(target, reasonOf(cause), cause);
    });
  if (output.json) await output.document(described(policy));
  else if (target === undefined) await output.line(drawn.trimEnd());
  else await output.say(`wrote ${target}`);
  return 0;
}

/** What the picture shows, as data. */
function described(policy: CompiledPolicy): unknown {
  const { id, version, digest } = policy;
  const { order, nodes, edges, free, notes } = pictureOf(policy);
  return { policy: { id, version, digest }, order, nodes, edges, free, notes };
}

const FORMAT_OF: Readonly<Record<string, GraphFormat>> = {
  ".svg": "svg",
  ".mmd": "mermaid",
  ".mermaid": "mermaid",
};
