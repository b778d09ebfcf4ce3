/** What a command says: results on stdout, errors on stderr, colours and progress only on a terminal. */
import { once } from "node:events";
import { styleText } from "node:util";

/** A stream that a command writes to. */
type Sink = NodeJS.WritableStream & { readonly isTTY?: boolean };

/** The world outside of a command. */
export interface Terminal {
  readonly stdin: AsyncIterable<Uint8Array> & { readonly isTTY?: boolean };
  readonly stdout: Sink;
  readonly stderr: Sink;
  /** Variables of the environment, for policies at Level 0. */
  readonly environment: Readonly<Record<string, string | undefined>>;
}

/** 0: fine. 1: findings, such as a denial or an invalid receipt. 2: usage, or something could not be read or written. */
export type ExitCode = 0 | 1 | 2;

type Style = "green" | "red" | "yellow" | "bold" | "dim";

/** See the top of this file. */
export interface Output {
  /** Whether the caller asked for JSON: then stdout carries nothing else. */
  readonly json: boolean;
  /** One line on stdout; resolves when the stream takes more. */
  line(text: string): Promise<void>;
  /** A piece of a line. */
  text(text: string): Promise<void>;
  /** One JSON document on stdout, on a line of its own. */
  document(value: unknown): Promise<void>;
  /** A line for a person: on stdout, or nothing at all with `--json`. */
  say(text: string): Promise<void>;
  /** Begins on an empty screen, where stdout is a terminal. */
  clear(): Promise<void>;
  /** A line on stderr. */
  error(text: string): void;
  /** Colours for stdout, where it is a terminal. */
  paint(style: Style, text: string): string;
  /** Counts on stderr for what takes longer than a second, where that is a terminal; of `total`, where it is known. */
  progress(unit: string, total?: number): Progress;
}

/** A count that a person may watch. */
interface Progress {
  /** So many so far. */
  at(count: number): void;
  /** Clears the line. */
  end(): void;
}

const PATIENCE_MS = 1000;
const INTERVAL_MS = 100;

/** The output of one command. `now` is a clock in milliseconds. */
export function createOutput(
  terminal: Terminal,
  json: boolean,
  now: () => number = () => performance.now(),
): Output {
  const { stdout, stderr, environment } = terminal;
  const colour =
    stdout.isTTY === true && !environment["NO_COLOR"] && environment["TERM"] !== "dumb";

  let shown: Progress | undefined;

  async function text(piece: string): Promise<void> {
    if (!stdout.write(piece)) await once(stdout, "drain");
  }
  const line = (whole: string): Promise<void> => text(`${whole}\n`);

  return {
    json,
    line,
    text,
    document: (value) => line(JSON.stringify(value)),
    say: async (text) => (json ? undefined : line(text)),
    clear: async () => {
      if (stdout.isTTY === true && !json) stdout.write("\u001b[2J\u001b[3J\u001b[H");
    },
    error(message) {
      shown?.end();
      stderr.write(`${message.split("\n").map(printable).join("\n")}\n`);
    },
    paint: (style, plain) => (colour ? styleText(style, plain, { validateStream: false }) : plain),
    progress: (unit, total) => (shown = progress(stderr, unit, total, now)),
  };
}

/** One line of others' making, without characters that could rewrite what a terminal shows. */
export function printable(text: string): string {
  return text.replace(/[\p{Cc}\p{Cf}\u2028\u2029]/gu, "\ufffd");
}

function progress(
  stderr: Sink,
  unit: string,
  total: number | undefined,
  now: () => number,
): Progress {
  let next = now() + PATIENCE_MS;
  let shown = false;
  return {
    at(count) {
      if (stderr.isTTY !== true || now() < next) return;
      next = now() + INTERVAL_MS;
      shown = true;
      const share = total === undefined ? "" : ` (${Math.floor((count / total) * 100)} %)`;
      stderr.write(`\r\u001b[K${count.toLocaleString("en")} ${unit}${share}`);
    },
    end() {
      if (shown) stderr.write("\r\u001b[K");
      shown = false;
    },
  };
}
