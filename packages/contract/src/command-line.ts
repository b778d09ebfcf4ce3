/** What the commands of this package share: options with defaults, help, and misuse told in one sentence. */
import { parseArgs } from "node:util";

/** What a command was called with. */
export interface CommandLine<Name extends string> {
  readonly values: Readonly<Record<Name, string>>;
  readonly json: boolean;
  readonly words: readonly string[];
}

/**
 * Runs a command and sets the exit code to what it resolves to: 0 for all well, 1 for a broken promise. `--help` prints
 * `help`; an unknown option, or a TypeError of the command, is told in a line, and the exit code is 2.
 */
export async function runCommand<Name extends string>(
  help: string,
  defaults: Readonly<Record<Name, string>>,
  run: (line: CommandLine<Name>) => Promise<number>,
): Promise<void> {
  try {
    const { values, positionals: words } = parseArgs({
      allowPositionals: true,
      options: {
        ...Object.fromEntries(Object.keys(defaults).map((name) => [name, { type: "string" }])),
        json: { type: "boolean" },
        help: { type: "boolean" },
      },
    });
    const { json = false, help: asked = false, ...given } = values;
    if (asked === true) console.log(help);
    else
      process.exitCode = await run({
        values: { ...defaults, ...given },
        json: json === true,
        words,
      });
  } catch (error) {
    if (!(error instanceof TypeError)) throw error;
    console.error(`${error.message}\nSee --help.`);
    process.exitCode = 2;
  }
}

/** A whole number from `least` on. @throws TypeError that names the option. */
export function wholeNumber(option: string, text: string, least = 1): number {
  const number = Number(text);
  if (text.trim() !== "" && Number.isSafeInteger(number) && number >= least) return number;
  throw new TypeError(`--${option} is a whole number from ${least} on, not '${text}'`);
}
