/** The two spellings of a step order, an expression or a YAML list, to one tree. */
import { type Finding } from "./finding.ts";
import type { SequenceItem } from "./policy-document.ts";
import {
  countedStep,
  MAX_DEPTH,
  MAX_PRODUCT,
  parseSequence,
  type Sequence,
  sequenceOf,
  STEP_NAME,
} from "./sequence-grammar.ts";

/** Reads the `sequence` member of a document; a tree exactly where there are no findings. */
export function readSequence(sequence: string | readonly SequenceItem[]): {
  readonly tree?: Sequence;
  readonly findings: readonly Finding[];
} {
  if (typeof sequence === "string") return readExpression(sequence, ["sequence"], 0);
  const grouped = sequence.length > 1;
  const items = sequence.map((item, index) => {
    const path = ["sequence", index];
    return typeof item === "string"
      ? readExpression(item, path, grouped ? 1 : 0)
      : readCounted(item, path);
  });
  const findings = items.flatMap((item) => item.findings);
  const trees = items.flatMap((item) => (item.tree === undefined ? [] : [item.tree]));
  return findings.length > 0 ? { findings } : { tree: sequenceOf(trees), findings };
}

/** Where each step is named first, in either spelling. */
export function stepPlaces(
  sequence: string | readonly SequenceItem[],
): ReadonlyMap<string, Pick<Finding, "path" | "offset">> {
  const places = new Map<string, Pick<Finding, "path" | "offset">>();
  const add = (name: string, path: Finding["path"], offset: number): void => {
    if (!places.has(name)) places.set(name, { path, offset });
  };
  const addAll = (text: string, path: Finding["path"]): void => {
    for (const { 0: name, index } of text.matchAll(/[A-Za-z_][A-Za-z0-9_.-]*/g))
      add(name, path, index);
  };
  if (typeof sequence === "string") addAll(sequence, ["sequence"]);
  else
    for (const [index, item] of sequence.entries())
      if (typeof item === "string") addAll(item, ["sequence", index]);
      else add(item.step, ["sequence", index, "step"], 0);
  return places;
}

interface ReadItem {
  readonly tree?: Sequence;
  readonly findings: readonly Finding[];
}

/** `outer` is the depth that a choice needs where it stands: as an item of a list it is written with parentheses. */
function readExpression(text: string, path: Finding["path"], outer: number): ReadItem {
  const parsed = parseSequence(text);
  if ("fault" in parsed) return { findings: [{ path, ...parsed.fault }] };
  if (parsed.tree.kind === "choice" && parsed.depth + outer > MAX_DEPTH) {
    return {
      findings: [
        {
          path,
          offset: 0,
          message: `parentheses deeper than ${MAX_DEPTH}: a choice in a list stands in parentheses of its own`,
        },
      ],
    };
  }
  return { tree: parsed.tree, findings: [] };
}

function readCounted(item: Exclude<SequenceItem, string>, path: Finding["path"]): ReadItem {
  const at = (member: string, message: string): ReadItem => ({
    findings: [{ path: [...path, member], message }],
  });
  if (!STEP_NAME.test(item.step))
    return at("step", "a step name is a letter or _, then up to 127 of A-Z a-z 0-9 _ . -");
  const min = item.min ?? (item.optional === true ? 0 : 1);
  const max = item.max ?? Math.max(1, min);
  if (item.optional !== undefined && item.optional !== (min === 0))
    return at("optional", `'optional: ${item.optional}' contradicts 'min: ${min}'`);
  if (max === 0) return at("max", "a step that may never occur: the upper bound is 0");
  if (min > max) return at("max", `the lower bound ${min} is above the upper bound ${max}`);
  if (max > MAX_PRODUCT)
    return at(item.max === undefined ? "min" : "max", `a counter above ${MAX_PRODUCT}`);
  return { tree: countedStep(item.step, min, max), findings: [] };
}
