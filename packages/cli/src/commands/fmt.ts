/** `stepgate fmt`: lays policies out in the one way, comments kept. */
import { formatIssue, formatPolicy, PolicyError, type PolicyIssue } from "@stepgate/policy";
import type { Command } from "commander";
import { replaceDurably } from "../durable-file.ts";
import type { ExitCode, Output, Terminal } from "../output.ts";
import type { Define } from "../program.ts";
import { decodeText, readText, reasonOf, unreadable } from "../reading.ts";

interface FmtOptions {
  readonly check?: boolean;
}

/** A file that was laid out; with issues it was not, and is what it was. */
interface LaidFile {
  readonly file: string;
  readonly changed: boolean;
  readonly issues: readonly PolicyIssue[];
  /** The layout, of what came on stdin. */
  readonly text?: string;
}

/** Stands for stdin, and then for stdout. */
const STREAM = "-";

/** Adds the command. */
export function addFmt(program: Command, define: Define, stdin: Terminal["stdin"]): void {
  const command = program
    .command("fmt")
    .description("lay policies out in the one way, comments kept; exit 1 where one cannot be read")
    .argument("<policy...>", "policy files, or - to read stdin and write stdout")
    .option("--check", "change nothing; exit 1 where a file is not in the layout, and name it");
  define(command, (output, paths: readonly string[], { check = false }: FmtOptions) =>
    fmt(output, paths, check, stdin),
  );
}

async function fmt(
  output: Output,
  paths: readonly string[],
  check: boolean,
  stdin: Terminal["stdin"],
): Promise<ExitCode> {
  const files: LaidFile[] = [];
  for (const path of paths) {
    const laid = path === STREAM ? await layStream(stdin) : await layFile(path, check);
    files.push(laid);
    if (!output.json) await print(output, laid, check);
  }
  const changed = files.filter((file) => file.changed).length;
  const unreadableFiles = files.filter(({ issues }) => issues.length > 0).length;
  if (output.json) await output.document({ changed, unreadable: unreadableFiles, files });
  return unreadableFiles > 0 || (check && changed > 0) ? 1 : 0;
}

async function layFile(file: string, check: boolean): Promise<LaidFile> {
  const laid = lay(await readText(file), file);
  if (laid.text === undefined || !laid.changed || check) return withoutText(laid);
  await replaceDurably(file, laid.text).catch((cause: unknown) => {
    throw unreadable(file, `cannot be written: ${reasonOf(cause)}`, cause);
  });
  return withoutText(laid);
}

async function layStream(stdin: Terminal["stdin"]): Promise<LaidFile> {
  const text = decodeText(Buffer.concat(await Array.fromAsync(stdin)), "stdin");
  return { ...lay(text), file: STREAM };
}

function lay(text: string, file?: string): LaidFile {
  const name = file ?? STREAM;
  try {
    const laid = formatPolicy(text, file);
    return { file: name, changed: laid !== text, issues: [], text: laid };
  } catch (error) {
    if (!(error instanceof PolicyError)) throw error;
    return { file: name, changed: false, issues: error.issues };
  }
}

function withoutText({ file, changed, issues }: LaidFile): LaidFile {
  return { file, changed, issues };
}

async function print(output: Output, laid: LaidFile, check: boolean): Promise<void> {
  const { file, changed, issues, text } = laid;
  const name = file === STREAM ? "stdin" : file;
  for (const issue of issues) output.error(formatIssue(issue, name));
  if (check && changed) output.error(`${name}: is not in the layout; run stepgate fmt ${file}`);
  else if (!check && text !== undefined) await output.line(text.slice(0, -1));
  else if (changed) await output.say(`${output.paint("green", "laid out")} ${name}`);
}
