/** A plain value to a compiled policy, or every fault that could be found in it. */
import type { CompiledPolicy } from "@stepgate/core/compiler";
import type { PolicyFinding } from "./analysis-finding.ts";
import { compile } from "./compile.ts";
import { type ConditionCompiler, createConditionCompiler } from "./condition-compiler.ts";
import { conditionFindings } from "./condition-findings.ts";
import { conditionLints } from "./condition-lint.ts";
import { type Finding, isWithin, type Lint, type Path } from "./finding.ts";
import { nameLints } from "./name-lint.ts";
import { normalForm } from "./normal-form.ts";
import type { PolicyDocument, PolicyTest } from "./policy-document.ts";
import { policySchema } from "./policy-schema.ts";
import { referenceFindings } from "./references.ts";
import { schemaFindings } from "./schema-findings.ts";
import { compileSequence } from "./sequence-automaton.ts";
import { readSequence, stepPlaces } from "./sequence-form.ts";
import { type Sequence, stepNames } from "./sequence-grammar.ts";
import { conditionEntries, type SoundParts, soundParts } from "./sound-parts.ts";

/** A policy exactly where there are no faults. */
export interface Checked {
  readonly policy?: CompiledPolicy;
  readonly faults: readonly (Finding | PolicyFinding)[];
  readonly warnings: readonly (Lint | PolicyFinding)[];
}

/** What is asked of a policy once it is compiled: the errors alone to load it, everything to check it. */
export type Analysis = (policy: CompiledPolicy) => readonly PolicyFinding[];

const testsOf = new WeakMap<CompiledPolicy, readonly PolicyTest[]>();

/** Faults that are reported of one document. A text with more is no policy, and hints for thousands would take minutes. */
export const MAX_FAULTS = 100;

/** Checks, compiles and analyses one document, which is a plain JSON value. */
export function checkDocument(value: unknown, analysis: Analysis): Checked {
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
  return build(document, order.tree, compiler, analysis);
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

function build(
  document: PolicyDocument,
  order: Sequence,
  compiler: ConditionCompiler,
  analysis: Analysis,
): Checked {
  const steps = stepNames(order);
  const compiled = compileSequence(order, steps);
  if ("fault" in compiled)
    return { faults: [{ path: ["sequence"], message: compiled.fault }], warnings: [] };
  const { automaton } = compiled;
  const policy = compile(normalForm(document, order), { steps, automaton }, compiler);
  testsOf.set(policy, document.tests ?? []);
  const findings = atSteps(analysis(policy), document.sequence);
  const faults = findings.filter(({ severity }) => severity === "error");
  const warnings = [
    ...findings.filter(({ severity }) => severity === "warning"),
    ...nameLints(document, steps).take(MAX_FAULTS),
    ...conditionLints(document).take(MAX_FAULTS),
  ];
  return faults.length > 0 ? { faults, warnings } : { policy, faults, warnings };
}

/** What is about a step stands where the order names it first. */
function atSteps(
  findings: readonly PolicyFinding[],
  sequence: PolicyDocument["sequence"],
): readonly PolicyFinding[] {
  if (findings.every(({ step }) => step === undefined)) return findings;
  const places = stepPlaces(sequence);
  return findings.map((finding) => ({ ...finding, ...places.get(finding.step ?? "") }));
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
