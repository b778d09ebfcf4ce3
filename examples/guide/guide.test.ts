/**
 * The guide keeps its word. Its blocks are taken from the README and carried out in order, in an empty folder:
 * a block with a file's name is that file as it stands beside the README, a `diff` with a name changes one into it, and of
 * `console` blocks each line after `$ ` is run by the shell and must print what follows. There `…` stands for any text
 * of a line, and alone in a line for any lines; `# exit 1` is the exit code, else 0. `sha256:…` in a command is the hash
 * that was printed last.
 */
import { spawn } from "node:child_process";
import {
  copyFileSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { delimiter, dirname, join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";

const here = import.meta.dirname;
const readme = readFileSync(join(here, "README.md"), "utf8");
const BLOCK = /^```(\w+)(?: (\S+))?\n(.*?)^```$/gms;

let folder = "";
let lastHash = "";

// What the README's way to begin in a clone comes to: the tools, `stepgate` and its package.
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "stepgate-guide-"));
  copyFileSync(join(here, "tools.json"), join(folder, "tools.json"));
  symlinkSync(join(here, "node_modules"), join(folder, "node_modules"));
});
afterAll(() => rmSync(folder, { recursive: true }));

describe("in order", () => {
  for (const [, language = "", file, text = ""] of readme.matchAll(BLOCK)) {
    if (file !== undefined)
      test(`${file} is what the guide says`, () => place(language, file, text));
    if (language !== "console") continue;
    for (const { command, code, output } of commandsOf(text))
      test(`$ ${command}`, async () => {
        const ran = await run(command.replace("sha256:…", lastHash));
        lastHash = /.*(sha256:[0-9a-f]{64})/s.exec(ran.output)?.[1] ?? lastHash;
        expect(fits(ran.output, output) ? output : ran.output).toBe(output);
        expect(ran.code).toBe(code);
      });
  }
});

test("the guide shows what it is about: files, commands, an approval, an action of this repository", () => {
  const blocks = [...readme.matchAll(BLOCK)];
  expect(blocks.filter(([, , file]) => file !== undefined)).toHaveLength(6);
  for (const name of [
    "init",
    "check",
    "test",
    "graph",
    "fmt",
    "approve",
    "verify",
    "diff",
    "simulate",
    "replay",
  ])
    expect(readme).toMatch(new RegExp(`^\\$ stepgate ${name} `, "m"));
  const inputs = readFileSync(join(here, "../../action.yml"), "utf8");
  const given = [...readme.matchAll(/uses: stepgate\/stepgate.*\n +with: \{ ([\w-]+):/g)];
  expect(given.map(([, input]) => inputs.includes(`\n  ${input}:\n`))).toEqual([true]);
});

/** Puts a file where the reader would, once it is the one beside the README. */
function place(language: string, file: string, text: string): void {
  const target = join(folder, file);
  const placed = language === "diff" ? changed(readFileSync(target, "utf8"), text) : text;
  expect(placed).toBe(readFileSync(join(here, file), "utf8"));
  writeFileSync(target, placed);
}

/** A text with the changes of a diff, whose parts stand in it once each and are set apart by empty lines. */
function changed(before: string, diff: string): string {
  return diff.split("\n\n").reduce((text, part) => {
    const lines = part.trimEnd().split("\n");
    const side = (other: string): string =>
      lines
        .filter((line) => !line.startsWith(other))
        .map((line) => `${line.slice(1)}\n`)
        .join("");
    expect(text.split(side("+"))).toHaveLength(2);
    return text.replace(side("+"), () => side("-"));
  }, before);
}

function* commandsOf(block: string): Generator<{ command: string; code: number; output: string }> {
  for (const part of block.split(/^\$ /m).slice(1)) {
    const [line = "", ...output] = part.split(/(?<=\n)/);
    const [, command = "", code = "0"] = /^(.*?)(?: # exit (\d))?\n$/.exec(line) ?? [];
    yield { command, code: Number(code), output: output.join("") };
  }
}

function run(command: string): Promise<{ readonly code: number | null; readonly output: string }> {
  const paths = [join(here, "node_modules/.bin"), dirname(process.execPath), process.env["PATH"]];
  return new Promise((resolve, reject) => {
    const env = { PATH: paths.join(delimiter) };
    const child = spawn("sh", ["-c", `{ ${command}\n} 2>&1`], { cwd: folder, env });
    let output = "";
    child.stdout.setEncoding("utf8").on("data", (text: string) => (output += text));
    child.on("error", reject);
    child.on("close", (code) => resolve({ code, output }));
  });
}

function fits(output: string, expected: string): boolean {
  const lines = expected
    .split(/(?<=\n)/)
    .map((line) =>
      line === "…\n"
        ? "(?:.*\n)*"
        : line.replaceAll(/[\\^$.*+?()[\]{}|]/g, "\\$&").replaceAll("…", ".*"),
    );
  return new RegExp(`^${lines.join("")}$`).test(output);
}
