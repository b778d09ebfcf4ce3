/** A plain value to a compiled policy, or every fault that could be found in it. */
import type { CompiledPolicy } from "@stepgate/core";
import { compile } from "./compile.ts";
import { type ConditionCompiler, createConditionCompiler } from "./condition-compiler.ts";
import { conditionFindings } from "./condition-findings.ts";
import { conditionLints } from "./condition-lint.ts";
import { type Finding, isWithin, type Path } from "./finding.ts";
import { nameLints } from "./name-lint.ts";
import { normalForm } from "./normal-form.ts";
import type { PolicyWarning } from "./policy-error.ts";
import type { PolicyDocument, PolicyTest } from "./policy-document.ts";
import { policySchema } from "./policy-schema.ts";
import { explore, type Reachability } from "./reachability.ts";
import { referenceFindings } from "./references.ts";
import { schemaFindings } from "./schema-findings.ts";
import { compileSequence } from "./sequence-automaton.ts";
import { readSequence } from "./sequence-form.ts";
import { type Sequence, stepNames } from "./sequence-grammar.ts";
import { conditionEntries, type SoundParts, soundParts } from "./sound-parts.ts";

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
  const document = soundParts(value, shape);
  const order =
    document.sequence === undefined ? { findings: [] } : readSequence(document.sequence);
  const steps = order.tree === undefined ? undefined : stepNames(order.tree);
  const references = referenceFindings(document, steps).take(MAX_FAULTS);
  const compiler = createConditionCompiler();
  const faults = [
    ...shape,
    ...order.findings,
    ...[...references].filter((finding) => !isEcho(finding, shape)),
    ...conditionFindings(conditionEntries(value, shape), compiler).take(MAX_FAULTS),
  ];
  if (faults.length > 0 || order.tree === undefined || !isWhole(document))
    return { faults, warnings: [] };
  return build(document, order.tree, compiler);
}

/** The tests that a policy came with; they are outside its digest. */
export function policyTests(policy: CompiledPolicy): readonly PolicyTest[] {
  return testsOf.get(policy) ?? [];
}

/** Without a fault nothing was left out. */
function isWhole(document: SoundParts): document is PolicyDocument {
  return ["schema", "id", "version", "sequence", "functions"].every((name) =>
    Object.hasOwn(document, name),
  );
}

function build(document: PolicyDocument, order: Sequence, compiler: ConditionCompiler): Checked {
  const steps = stepNames(order);
  const compiled = compileSequence(order, steps);
  if ("fault" in compiled)
    return { faults: [{ path: ["sequence"], message: compiled.fault }], warnings: [] };
  const { automaton } = compiled;
  const policy = compile(normalForm(document, order), { steps, automaton }, compiler);
  testsOf.set(policy, document.tests ?? []);
  const reachability = explore(policy);
  const faults = impossibilities(reachability);
  return faults.length > 0
    ? { faults, warnings: [] }
    : {
        policy,
        faults,
        warnings: [
          ...lint(policy, reachability),
          ...nameLints(document, steps).take(MAX_FAULTS),
          ...conditionLints(document).take(MAX_FAULTS),
        ],
      };
}

/** What would not be said but for a fault that was said already. */
function isEcho(finding: Finding, shape: readonly Finding[]): boolean {
  const [section, , , name] = finding.path;
  const causes: readonly Path[] =
    section === "sealOn"
      ? [["functions"]]
      : section === "agents" && name !== undefined
        ? [["functions", name]]
        : [];
  return shape.some(
    ({ path }) => isWithin(finding.path, path) || causes.some((cause) => isWithin(path, cause)),
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
