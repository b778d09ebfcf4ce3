/** A policy's order as a picture: what may follow what, how often, where it ends, and what each step permits. */
import type { CompiledPolicy } from "@stepgate/core/compiler";
import { drawAscii } from "./policy-graph-ascii.ts";
import { drawMermaid } from "./policy-graph-mermaid.ts";
import { pictureOf } from "./policy-graph-picture.ts";
import { drawSvg } from "./policy-graph-svg.ts";

/** Mermaid text, a picture for pages, or plain text for a terminal (ASCII alone, at most 100 columns where names allow it). */
export type GraphFormat = (typeof GRAPH_FORMATS)[number];

/** Every format that there is. */
export const GRAPH_FORMATS = ["mermaid", "svg", "ascii"] as const;

/**
 * Draws the order. Steps are nodes, once each however often they come; an arrow says that one step may come right after
 * another as far as the order is concerned. The same policy gives the same text.
 *
 * @example console.log(graphPolicy(policy, "ascii"));
 */
export function graphPolicy(policy: CompiledPolicy, format: GraphFormat): string {
  const picture = pictureOf(policy);
  switch (format) {
    case "mermaid":
      return drawMermaid(picture);
    case "svg":
      return drawSvg(picture);
    case "ascii":
      return drawAscii(picture);
    default:
      throw new TypeError(
        `a graph is 'mermaid', 'svg' or 'ascii', not '${String(format satisfies never)}'`,
      );
  }
}
