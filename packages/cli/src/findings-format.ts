/** What `stepgate check` found: lines for people, and JSON, GitHub's annotations and SARIF 2.1.0 for other programs. */
import { formatIssue, type PolicyIssue } from "@stepgate/policy";
import { runTexts } from "./run-text.ts";

/** What was found of one policy file. */
export interface CheckedFile {
  readonly file: string;
  /** Exactly where there are no errors. */
  readonly policy?: { readonly id: string; readonly version: string; readonly digest: string };
  readonly findings: readonly CheckFinding[];
}

/** One finding: an error stops the policy from loading, a warning does not. */
export interface CheckFinding extends Omit<PolicyIssue, "code"> {
  readonly severity: "error" | "warning";
  /** Stable, for filters. */
  readonly code: string;
}

/** Faults of form, which have no other code. */
export const INVALID = "invalid-policy";

/** One JSON document. */
export function toJson(files: readonly CheckedFile[]): string {
  const all = files.flatMap(({ findings }) => findings);
  const errors = all.filter(({ severity }) => severity === "error").length;
  return JSON.stringify({ files, errors, warnings: all.length - errors });
}

/** `file:line:column: message`, and below it the shortest run that shows it, where there is one. */
export function toLines(file: string, finding: CheckFinding): string {
  const { severity, code, line, column, path, message, hint } = finding;
  const text = `${severity === "warning" ? "warning: " : ""}${message}${code === INVALID ? "" : ` (${code})`}`;
  const issue = { path, message: text, ...(hint !== undefined && { hint }) };
  const place = line === undefined || column === undefined ? {} : { line, column };
  return [formatIssue({ ...issue, ...place }, file), ...runText(finding).map(indented)].join("\n");
}

/** Workflow commands, which GitHub shows beside the lines of a pull request. */
export function toGithub(files: readonly CheckedFile[]): readonly string[] {
  return files.flatMap(({ file, findings }) =>
    findings.map((finding) => {
      const { severity, line = 1, column = 1, code } = finding;
      const place = `file=${escapeProperty(file)},line=${line},col=${column},title=${escapeProperty(code)}`;
      return `::${severity} ${place}::${escapeData(toText(finding))}`;
    }),
  );
}

/** SARIF, for code scanning. */
export function toSarif(files: readonly CheckedFile[]): string {
  const results = files.flatMap(({ file, findings }) =>
    findings.map((finding) => sarifResult(file, finding)),
  );
  const rules = [...new Set(results.map(({ ruleId }) => ruleId))].map((id) => ({ id }));
  const runs = [
    { tool: { driver: { name: "stepgate", rules } }, columnKind: "utf16CodeUnits", results },
  ];
  return JSON.stringify({
    $schema: "https://json.schemastore.org/sarif-2.1.0.json",
    version: "2.1.0",
    runs,
  });
}

function sarifResult(file: string, finding: CheckFinding) {
  const { severity, code, line = 1, column = 1, certainty, trace = [], agent, dependsOn } = finding;
  const physicalLocation = {
    artifactLocation: { uri: file.split(/[/\\]/).map(encodeURIComponent).join("/") },
    region: { startLine: line, startColumn: column },
  };
  const calls = runTexts(trace).map((text) => ({ location: { message: { text } } }));
  return {
    ruleId: code,
    level: severity,
    message: { text: toText(finding) },
    locations: [{ physicalLocation }],
    ...(calls.length > 0 && { codeFlows: [{ threadFlows: [{ locations: calls }] }] }),
    ...(certainty !== undefined && { properties: { certainty, agent, dependsOn } }),
  };
}

function toText(finding: CheckFinding): string {
  const { message, hint } = finding;
  return [hint === undefined ? message : `${message}; ${hint}`, ...runText(finding)].join("\n");
}

/** `shortest run: get_order, pay_back`, and what else must be so; nothing where no run shows it. */
function runText(finding: CheckFinding): readonly string[] {
  const { code, trace = [], agent, dependsOn = [] } = finding;
  const calls = runTexts(trace);
  if (calls.length === 0) return [];
  const end = LAST_REFUSED.has(code) ? ", and the last is refused" : "";
  const whose = agent === undefined ? "" : ` by ${agent}`;
  const condition = dependsOn.length === 0 ? "" : `, if ${dependsOn.join(", ")} hold`;
  return [`shortest run: ${calls.join(", ")}${whose}${end}${condition}`];
}

const LAST_REFUSED: ReadonlySet<string> = new Set(["budget", "constraint-always-fires"]);

function indented(text: string): string {
  return `    ${text}`;
}

function escapeData(text: string): string {
  return text.replaceAll("%", "%25").replaceAll("\r", "%0D").replaceAll("\n", "%0A");
}

function escapeProperty(text: string): string {
  return escapeData(text).replaceAll(":", "%3A").replaceAll(",", "%2C");
}
