/** A plain value to a compiled policy, or every fault that could be found in it. */
import type { CompiledPolicy } from "@stepgate/core";
import { compile } from "./compile.ts";
import { type Finding, isWithin } from "./finding.ts";
import { normalForm } from "./normal-form.ts";
import type { PolicyWarning } from "./policy-error.ts";
import {
  type FunctionEntry,
  type PolicyDocument,
  policySchema,
  type PolicyTest,
} from "./policy-schema.ts";
import { explore, type Reachability } from "./reachability.ts";
import { referenceFindings } from "./references.ts";
import { schemaFindings } from "./schema-findings.ts";
import { compileSequence } from "./sequence-automaton.ts";
import { readSequence } from "./sequence-form.ts";
import { type Sequence, stepNames } from "./sequence-grammar.ts";

/** A policy exactly where there are no faults. */
export interface Checked {
  readonly policy?: CompiledPolicy;
  readonly faults: readonly Finding[];
  readonly warnings: readonly Lint[];
}

/** A warning before it is tied to a line. */
export interface Lint extends Finding {
  readonly code: PolicyWarning["code"];
}

const testsOf = new WeakMap<CompiledPolicy, readonly PolicyTest[]>();

/** Faults that are reported of one document. A text with more is no policy, and hints for thousands would take minutes. */
export const MAX_FAULTS = 100;

/** Checks and compiles one document, which is a plain JSON value. */
export function checkDocument(value: unknown): Checked {
  const shape = [...schemaFindings(policySchema, value).take(MAX_FAULTS)];
  if (shape.length === MAX_FAULTS) return { faults: shape, warnings: [] };
  // The shape is that of the type but for what was found, and that is left out before it is looked at.
  const document = soundParts(value, shape) as unknown as PolicyDocument;
  const order =
    document.sequence === undefined ? { findings: [] } : readSequence(document.sequence);
  const steps = order.tree === undefined ? undefined : stepNames(order.tree);
  const references =
    document.functions === undefined ? [] : referenceFindings(document, steps).take(MAX_FAULTS);
  const faults = [
    ...shape,
    ...order.findings,
    ...[...references].filter((finding) => !isEcho(finding, shape)),
  ];
  if (faults.length > 0 || order.tree === undefined || steps === undefined)
    return { faults, warnings: [] };
  return build(document, order.tree, steps);
}

/** The tests that a policy came with; they are outside its digest. */
export function policyTests(policy: CompiledPolicy): readonly PolicyTest[] {
  return testsOf.get(policy) ?? [];
}

function build(document: PolicyDocument, order: Sequence, steps: readonly string[]): Checked {
  const compiled = compileSequence(order, steps);
  if ("fault" in compiled)
    return { faults: [{ path: ["sequence"], message: compiled.fault }], warnings: [] };
  const policy = compile(normalForm(document, order), steps, compiled.automaton);
  testsOf.set(policy, document.tests ?? []);
  const reachability = explore(policy);
  const faults = impossibilities(reachability);
  return faults.length > 0
    ? { faults, warnings: [] }
    : { policy, faults, warnings: lint(policy, reachability) };
}

/**
 * The document without what has the wrong shape. A faulty function keeps its name and its step, so that its fault does
 * not bring up others: it stands for one that permits nothing.
 */
function soundParts(value: unknown, faults: readonly Finding[]): Readonly<Record<string, unknown>> {
  const parts: Record<string, unknown> = {};
  const isFaulty = (...path: readonly string[]): boolean =>
    faults.some((fault) => isWithin(fault.path, path));
  for (const [section, content] of membersOf(value)) {
    if (faults.some(({ path }) => path.length === 1 && path[0] === section)) continue;
    const entries = membersOf(content);
    if (section === "functions") {
      const functions = entries.map(
        ([name, entry]) => [name, isFaulty(section, name) ? standIn(name, entry) : entry] as const,
      );
      parts[section] = Object.fromEntries(functions);
    } else if (section === "tools") {
      parts[section] = Object.fromEntries(entries.filter(([name]) => !isFaulty(section, name)));
    } else if (!isFaulty(section)) parts[section] = content;
  }
  return parts;
}

function standIn(name: string, entry: unknown): FunctionEntry {
  const step = membersOf(entry).find(([member]) => member === "step")?.[1] ?? name;
  return { actions: [], step: typeof step === "string" ? step : "*" };
}

function membersOf(value: unknown): readonly [string, unknown][] {
  return typeof value === "object" && value !== null && !Array.isArray(value)
    ? Object.entries(value)
    : [];
}

/** What would not be said but for a fault that was said already. */
function isEcho(finding: Finding, shape: readonly Finding[]): boolean {
  const inFunctions = shape.some((fault) => fault.path[0] === "functions");
  return (
    (finding.path[0] === "sealOn" && inFunctions) ||
    shape.some((fault) => isWithin(finding.path, fault.path))
  );
}

function impossibilities({ canComplete, canSeal }: Reachability): readonly Finding[] {
  if (!canComplete) {
    const message =
      "this policy can never be completed: no run of allowed calls reaches the end of the order";
    return [
      {
        path: ["sequence"],
        message,
        hint: "a step passes only by an action type; one in sealOn only where the order may end",
      },
    ];
  }
  if (canSeal) return [];
  const message = "this policy can never be sealed: no run of allowed calls ends it";
  return [
    {
      path: ["sequence"],
      message,
      hint: "end the order with a step that cannot repeat, or name the sealing action types in sealOn",
    },
  ];
}

function lint(
  policy: CompiledPolicy,
  { deadEnd, unreachableSteps, unusedFunctions }: Reachability,
): readonly Lint[] {
  const empty = [...policy.functions.values()]
    .filter(({ actions }) => actions.size === 0)
    .map(({ name }) => name);
  return [
    ...empty.map((name): Lint => ({
      code: "empty-actions",
      path: ["functions", name],
      on: "key",
      message: `function '${name}' permits no action type`,
    })),
    ...unusedFunctions
      .filter((name) => !empty.includes(name))
      .map((name): Lint => ({
        code: "unused-function",
        path: ["functions", name],
        on: "key",
        message: `no call to function '${name}' can ever be allowed`,
      })),
    ...unreachableSteps.map((step): Lint => ({
      code: "unreachable-step",
      path: ["sequence"],
      message: `step '${step}' can never be passed`,
    })),
    ...(deadEnd === undefined ? [] : [deadEndLint(deadEnd)]),
  ];
}

function deadEndLint(trace: readonly string[]): Lint {
  return {
    code: "dead-end",
    path: ["sequence"],
    message: `after ${trace.join(", ")} the order can no longer be completed`,
  };
}
