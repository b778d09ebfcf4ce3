/** What `stepgate check` found, for other programs: JSON, GitHub's annotations, SARIF 2.1.0. */
import { formatIssue, type PolicyIssue } from "@stepgate/policy";

/** What was found of one policy file. */
export interface CheckedFile {
  readonly file: string;
  /** Exactly where there are no errors. */
  readonly policy?: { readonly id: string; readonly version: string; readonly digest: string };
  readonly findings: readonly CheckFinding[];
}

/** One finding: an error stops the policy from loading, a warning does not. */
export interface CheckFinding extends PolicyIssue {
  readonly severity: "error" | "warning";
  /** Stable, for filters. */
  readonly code: string;
}

/** One JSON document. */
export function toJson(files: readonly CheckedFile[]): string {
  const all = files.flatMap(({ findings }) => findings);
  const errors = all.filter(({ severity }) => severity === "error").length;
  return JSON.stringify({ files, errors, warnings: all.length - errors });
}

/** One line, `file:line:column: message`. */
export function toLine(file: string, finding: CheckFinding): string {
  if (finding.severity === "error") return formatIssue(finding, file);
  return formatIssue(
    { ...finding, message: `warning: ${finding.message} (${finding.code})` },
    file,
  );
}

/** Workflow commands, which GitHub shows beside the lines of a pull request. */
export function toGithub(files: readonly CheckedFile[]): readonly string[] {
  return files.flatMap(({ file, findings }) =>
    findings.map(({ severity, line = 1, column = 1, code, message, hint }) => {
      const place = `file=${escapeProperty(file)},line=${line},col=${column},title=${escapeProperty(code)}`;
      return `::${severity} ${place}::${escapeData(hint === undefined ? message : `${message}; ${hint}`)}`;
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

function sarifResult(
  file: string,
  { severity, code, message, hint, line = 1, column = 1 }: CheckFinding,
) {
  const physicalLocation = {
    artifactLocation: { uri: file.split(/[/\\]/).map(encodeURIComponent).join("/") },
    region: { startLine: line, startColumn: column },
  };
  const text = hint === undefined ? message : `${message}; ${hint}`;
  return { ruleId: code, level: severity, message: { text }, locations: [{ physicalLocation }] };
}

function escapeData(text: string): string {
  return text.replaceAll("%", "%25").replaceAll("\r", "%0D").replaceAll("\n", "%0A");
}

function escapeProperty(text: string): string {
  return escapeData(text).replaceAll(":", "%3A").replaceAll(",", "%2C");
}
