/** `stepgate check`: parses and compiles policies, and says what they can never do. */
import { checkPolicy } from "@stepgate/policy";
import { type Command, Option } from "commander";
import {
  type CheckedFile,
  INVALID,
  toGithub,
  toJson,
  toLines,
  toSarif,
} from "../findings-format.ts";
import type { ExitCode, Output } from "../output.ts";
import type { Define } from "../program.ts";
import { readText } from "../reading.ts";

interface CheckOptions {
  readonly format: "pretty" | "json" | "github" | "sarif";
}

/** Adds the command. */
export function addCheck(program: Command, define: Define): void {
  const command = program
    .command("check")
    .description("parse, compile and analyse policies; exit 1 where one does not load")
    .argument("<policy...>", "policy files")
    .addOption(
      new Option("--format <format>", "how findings are printed")
        .choices(["pretty", "json", "github", "sarif"])
        .default("pretty"),
    );
  define(command, check);
}

async function check(
  output: Output,
  paths: readonly string[],
  { format }: CheckOptions,
): Promise<ExitCode> {
  const files: CheckedFile[] = [];
  for (const path of paths) files.push(await checkFile(path));
  if (output.json || format === "json") await output.line(toJson(files));
  else if (format === "sarif") await output.line(toSarif(files));
  else if (format === "github") for (const line of toGithub(files)) await output.line(line);
  else await printPretty(output, files);
  return files.every(({ policy }) => policy !== undefined) ? 0 : 1;
}

async function checkFile(file: string): Promise<CheckedFile> {
  const { policy, issues, warnings } = checkPolicy(await readText(file));
  const findings = [
    ...issues.map((issue) => ({ severity: "error", code: INVALID, ...issue }) as const),
    ...warnings.map((warning) => ({ severity: "warning", ...warning }) as const),
  ];
  if (policy === undefined) return { file, findings };
  const { id, version, digest } = policy;
  return { file, policy: { id, version, digest }, findings };
}

async function printPretty(output: Output, files: readonly CheckedFile[]): Promise<void> {
  for (const { file, policy, findings } of files) {
    for (const finding of findings) output.error(toLines(file, finding));
    if (policy === undefined) continue;
    await output.say(
      `${output.paint("green", "ok")} ${file}: ${policy.id} ${policy.version} ${policy.digest}`,
    );
  }
}
