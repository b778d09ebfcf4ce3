/** Lays a policy out as YAML, each comment where it stood. */
import type { Path } from "./finding.ts";
import type { TiedComments } from "./layout-comments.ts";
import { type FlowSyntax, flowText, WIDTH } from "./layout-flow.ts";
import { inPageOrder } from "./layout-order.ts";
import { blockLines, doubleQuoted, scalarText, stringText } from "./layout-scalar.ts";
import type { Collection, Comment, Entry, LayoutValue } from "./layout-tree.ts";

/** The text of a policy, which is a map; it ends with a line feed. */
export function layoutYaml(root: Collection, comments: TiedComments): string {
  const body = linesOf(root, { indent: 0, path: [], comments });
  const header = commentLines(comments.header, "", false);
  const lines = [
    ...(header.length > 0 ? [...header, ""] : []),
    ...commentLines(body.lead, "", false),
    ...(body.gap ? [""] : []),
    ...(root.entries.length > 0 ? [] : ["{}"]),
    ...body.lines,
  ];
  return `${lines.join("\n")}\n`;
}

interface Place {
  readonly indent: number;
  readonly path: Path;
  readonly comments: TiedComments;
}

/** Lines, and the comments before the first of them, which whoever holds them puts in their place. */
interface Lines {
  readonly lead: readonly Comment[];
  /** A blank line parts the two. */
  readonly gap: boolean;
  readonly lines: readonly string[];
}

function linesOf(collection: Collection, place: Place): Lines {
  const { indent, path, comments } = place;
  const margin = " ".repeat(indent);
  const lines: string[] = [];
  let first: Lines | undefined;
  for (const [index, entry] of inPageOrder(collection.entries, path).entries()) {
    const laid = layEntry(entry, { ...place, path: [...path, entry.key ?? index] });
    if (first !== undefined) {
      lines.push(...commentLines(laid.lead, margin, true));
      // A blank line before what came first was not there to part it from anything.
      const parted = laid.lead.length > 0 || entry !== collection.entries[0];
      if (laid.gap && parted) lines.push("");
    }
    first ??= laid;
    lines.push(...laid.lines);
  }
  lines.push(...commentLines(comments.tail(collection), margin, true));
  const { lead = [], gap = false } = first ?? {};
  return { lead, gap: gap && lead.length > 0, lines };
}

function layEntry(entry: Entry, place: Place): Lines {
  const { indent, comments } = place;
  const head = `${" ".repeat(indent)}${entry.key === undefined ? "-" : `${stringText(entry.key, false)}:`}`;
  const beside = comments.beside(entry);
  const remark = beside
    .slice(-1)
    .map(({ text }) => ` ${text}`)
    .join("");
  // A line has room for one: earlier ones come before it.
  const lead = leadOf(entry, beside.slice(0, -1), place);
  const inline = onOneLine(entry, WIDTH - head.length - 1, place);
  if (inline !== undefined) return { ...lead, lines: [`${head} ${inline}${remark}`] };
  if (entry.value.kind === "scalar") {
    const [first, ...others] = longText(String(entry.value.value), indent + 2);
    return { ...lead, lines: [`${head} ${first}${remark}`, ...others] };
  }
  const inner = linesOf(entry.value, { ...place, indent: indent + 2 });
  if (entry.key === undefined) {
    const [first = "", ...others] = inner.lines;
    const lines = [`${head} ${first.slice(indent + 2)}`, ...others];
    return { ...leadOf(entry, beside, place, inner.lead), lines };
  }
  const between = commentLines(inner.lead, " ".repeat(indent + 2), false);
  return {
    ...lead,
    lines: [`${head}${remark}`, ...between, ...(inner.gap ? [""] : []), ...inner.lines],
  };
}

/** The comments before an entry, and those from its lines for which there is no other place. */
function leadOf(
  entry: Entry,
  beside: readonly Comment[],
  { comments }: Place,
  inner: readonly Comment[] = [],
): Pick<Lines, "lead" | "gap"> {
  const moved = [...beside, ...comments.hoisted(entry), ...inner].map((comment, index) => ({
    ...comment,
    blank: index === 0 && entry.blank,
  }));
  return {
    lead: [...comments.before(entry), ...moved],
    gap: entry.blank && moved.length === 0,
  };
}

function onOneLine(
  { key, value }: Entry,
  room: number,
  { path, comments }: Place,
): string | undefined {
  if (value.kind === "scalar") {
    const text = scalarText(value, false);
    const isLong = typeof value.value === "string" && text.length > room;
    return isLong || hasLines(value) ? undefined : text;
  }
  // `- never: […]` needs no brackets around it.
  if (key === undefined && value.kind === "map" && value.entries.length === 1) return undefined;
  return flowText(value, path, room, flowSyntax(comments));
}

function longText(text: string, indent: number): readonly string[] {
  const [header, ...lines] = blockLines(text, WIDTH - indent) ?? [
    text.includes("\n") ? doubleQuoted(text) : stringText(text, false),
  ];
  const margin = " ".repeat(indent);
  return [header ?? "", ...lines.map((line) => (line === "" ? "" : margin + line))];
}

function hasLines({ value }: LayoutValue & { readonly kind: "scalar" }): boolean {
  return typeof value === "string" && value.includes("\n");
}

function flowSyntax(comments: TiedComments): FlowSyntax {
  return {
    key: (name) => stringText(name, true),
    scalar: (value) => (hasLines(value) ? undefined : scalarText(value, true)),
    isOpen: (collection) =>
      comments.tail(collection).length > 0 ||
      collection.entries.some(
        (entry) =>
          comments.before(entry).length > 0 ||
          comments.beside(entry).length > 0 ||
          comments.hoisted(entry).length > 0,
      ),
  };
}

/** Comments a line each; at most one blank line before each. */
function commentLines(
  comments: readonly Comment[],
  margin: string,
  follows: boolean,
): readonly string[] {
  return comments.flatMap(({ text, blank }, index) =>
    blank && (follows || index > 0) ? ["", margin + text] : [margin + text],
  );
}
