/** Scalars as YAML text: quotes only where somebody's parser could read the text as something else. */
import type { ScalarValue } from "./layout-tree.ts";

/** One line for a scalar or a key. Within brackets (`flow`) more characters need quotes. */
export function scalarText({ value, source }: ScalarValue, flow: boolean): string {
  if (typeof value !== "string") return source === "" ? "null" : source;
  return stringText(value, flow);
}

/** A string on one line: plain, else in the quotes that need fewer escapes. */
export function stringText(text: string, flow: boolean): string {
  if (isPlain(text, flow)) return text;
  const doubles = text.split('"').length;
  const readsBetter = text.includes("\\") || doubles > text.split("'").length;
  return readsBetter && !UNPRINTABLE.test(text)
    ? `'${text.replaceAll("'", "''")}'`
    : doubleQuoted(text);
}

/**
 * The lines of a block for a string that one line does not hold, first of them the header: `|` for a text with line
 * breaks, `>-` for a long one. Nothing where only quotes keep the string as it is.
 */
export function blockLines(text: string, width: number): readonly string[] | undefined {
  if (UNPRINTABLE_IN_BLOCK.test(text)) return undefined;
  return text.includes("\n") ? literal(text) : folded(text, width);
}

/** As JSON, with what does not show on a screen escaped. */
export function doubleQuoted(text: string): string {
  return JSON.stringify(text).replace(UNPRINTABLE_ALL, (character) => {
    const code = character.codePointAt(0) ?? 0;
    return code > 0xffff
      ? `\\U${code.toString(16).padStart(8, "0")}`
      : `\\u${code.toString(16).padStart(4, "0")}`;
  });
}

/** Controls, line breaks of Unicode, and format characters such as those that turn the direction of writing. */
const UNPRINTABLE = /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/u;
const UNPRINTABLE_ALL = /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu;
const UNPRINTABLE_IN_BLOCK = /[^\P{Cc}\n]|[\p{Cf}\p{Zl}\p{Zp}]/u;

/** Begins with no indicator, holds no `: ` and no ` #`, ends with neither a colon nor white space. */
const PLAIN = /^(?:[^\s\-?:,[\]{}#&*!|>'"%@`]|-(?=[A-Za-z]))(?:[^:#]|:(?=\S)|(?<=\S)#)*(?<!\s)$/u;
/** What YAML 1.1 or 1.2 reads as something else than text; and numbers, dates and times of either. */
const RESERVED = /^(?:true|false|null|yes|no|on|off|~|<<|=|[-+]?\.(?:inf|nan))$/i;
const NUMERIC =
  /^(?:[-+]?\.?[0-9][-+0-9_.:,e]*|0[xob][0-9a-f_]*|[0-9]{4}-[0-9]{1,2}-[0-9]{1,2}.*)$/i;

function isPlain(text: string, flow: boolean): boolean {
  return (
    PLAIN.test(text) &&
    !UNPRINTABLE.test(text) &&
    !RESERVED.test(text) &&
    !NUMERIC.test(text) &&
    !(flow && /[,[\]{}]/.test(text))
  );
}

function literal(text: string): readonly string[] | undefined {
  const keeps = text.endsWith("\n");
  const lines = (keeps ? text.slice(0, -1) : text).split("\n");
  const isSafe =
    !/^\s|^$/.test(lines[0] ?? "") &&
    lines.at(-1) !== "" &&
    lines.every((line) => !/\s$/.test(line));
  return isSafe ? [keeps ? "|" : "|-", ...lines] : undefined;
}

function folded(text: string, width: number): readonly string[] | undefined {
  const words = text.split(" ");
  if (words.length < 2 || words.includes("") || /\s/.test(words.join(""))) return undefined;
  const lines: string[] = [];
  let line = "";
  for (const word of words) {
    if (line !== "" && line.length + 1 + word.length > width) {
      lines.push(line);
      line = word;
    } else line = line === "" ? word : `${line} ${word}`;
  }
  return [">-", ...lines, line];
}
