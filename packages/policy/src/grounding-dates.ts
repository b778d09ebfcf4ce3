/** The days that an English text names: `2026-02-22`, `22nd of February, 2026`, `Feb. 22` (policy.md, grounded). */
import { type Token, tokensOf } from "./grounding-text.ts";
import { readDay } from "./grounding-values.ts";

/** A set of days; those without a year are in it as `--MM-DD`, those with two digits of one as `..YY-MM-DD`. */
export type Days = ReadonlySet<string>;

/** Every day that a text names. */
export function daysIn(text: string): Days {
  const tokens = tokensOf(text);
  const days = new Set<string>();
  for (const { core } of tokens) {
    const day = readDay(core);
    if (day !== undefined) days.add(day);
  }
  for (const form of monthForms(tokens)) days.add(yearBeside(form, tokens).year + form.monthDay);
  return days;
}

/** The day that a whole string is, in any of the forms, with nothing before or behind it. */
export function wholeDay(text: string): string | undefined {
  const day = readDay(text);
  if (day !== undefined) return day;
  const tokens = tokensOf(text);
  if (text.trim() !== text || tokens[0]?.lead !== "" || tokens.at(-1)?.tail !== "")
    return undefined;
  const [form] = monthForms(tokens);
  if (form === undefined) return undefined;
  const { year, start, end } = yearBeside(form, tokens);
  return start === 0 && end === tokens.length ? year + form.monthDay : undefined;
}

/** Whether a day, `YYYY-MM-DD`, is among those of a text. */
export function hasDay(days: Days, day: string): boolean {
  return days.has(day) || days.has(`..${day.slice(2)}`) || days.has(`--${day.slice(5)}`);
}

/** A day and a month that stand together, in tokens `start` to before `end`. */
interface MonthForm {
  readonly monthDay: string;
  readonly start: number;
  readonly end: number;
}

/**
 * Forms that share a token, as in `Feb 22 March` and `22 Feb 23`, could be either and are left out; so could the 26 of
 * `22 February 26`, which therefore names no day at all.
 */
function monthForms(tokens: readonly Token[]): readonly MonthForm[] {
  const forms = tokens.flatMap((_, index) => formsAt(tokens, index));
  return forms.filter(
    (form, index) =>
      (forms[index - 1]?.end ?? 0) <= form.start &&
      form.end <= (forms[index + 1]?.start ?? Number.POSITIVE_INFINITY),
  );
}

/** A form that begins at a token: `February 22`, `22 February` or `22 of February`; no other punctuation than in `Feb. 22`. */
function formsAt(tokens: readonly Token[], start: number): readonly MonthForm[] {
  const first = tokens[start];
  if (first === undefined) return [];
  const month = monthNumber(first.core);
  if (month !== undefined) {
    const stop = first.tail === "." && !MONTHS.includes(first.core.toLowerCase());
    if (first.tail !== "" && !stop) return [];
    return form(month, tokens[start + 1], start, start + 2);
  }
  if (dayNumber(first.core) === undefined || first.tail !== "") return [];
  const next = tokens[start + 1];
  const isOf = next?.core.toLowerCase() === "of" && next.lead === "" && next.tail === "";
  const last = isOf ? start + 2 : start + 1;
  const name = tokens[last];
  if (name === undefined || name.lead !== "") return [];
  return form(monthNumber(name.core), { ...first, lead: "" }, start, last + 1);
}

function form(
  month: number | undefined,
  day: Token | undefined,
  start: number,
  end: number,
): readonly MonthForm[] {
  const number = day === undefined || day.lead !== "" ? undefined : dayNumber(day.core);
  if (month === undefined || number === undefined) return [];
  return [{ monthDay: `${pad(month)}-${pad(number)}`, start, end }];
}

const MONTHS: readonly string[] = [
  "january",
  "february",
  "march",
  "april",
  "may",
  "june",
  "july",
  "august",
  "september",
  "october",
  "november",
  "december",
];

/** Of a month's name or its first three letters or more. */
function monthNumber(word: string): number | undefined {
  if (word.length < 3 || word.length > 9) return undefined;
  const name = word.toLowerCase();
  const index = MONTHS.findIndex((month) => month.startsWith(name));
  return index === -1 ? undefined : index + 1;
}

/** Of `2`, `02`, `2nd`: 1 to 31, and the ordinal must be the number's own. */
function dayNumber(word: string): number | undefined {
  const parts = /^(0?[1-9]|[12][0-9]|3[01])(st|nd|rd|th)?$/i.exec(word);
  if (parts === null) return undefined;
  const day = Number(parts[1]);
  const ordinal = parts[2]?.toLowerCase() ?? ordinalOf(day);
  return ordinal === ordinalOf(day) ? day : undefined;
}

function ordinalOf(day: number): string {
  if (day > 10 && day < 14) return "th";
  return ["th", "st", "nd", "rd"][day % 10] ?? "th";
}

/** Words that may stand between a day and its year: `22 February of the year 2026`. */
const FILLERS: ReadonlySet<string> = new Set(["of", "in", "the", "year"]);

/**
 * The year beside a form, as the beginning of the day's key, and the tokens of both. Four digits behind it are its year,
 * else four digits right before it; two digits only right behind it.
 */
function yearBeside(
  { start, end }: MonthForm,
  tokens: readonly Token[],
): { readonly year: string; readonly start: number; readonly end: number } {
  let at = end;
  while (at < end + FILLERS.size && FILLERS.has(tokens[at]?.core.toLowerCase() ?? "")) at += 1;
  const behind = tokens[at]?.core ?? "";
  if (isYear(behind)) return { year: `${behind}-`, start, end: at + 1 };
  const short = tokens[end];
  const adjacent = tokens[end - 1]?.tail === "" && /^['‘’]?$/.test(short?.lead ?? "");
  if (adjacent && short !== undefined && /^[0-9]{2}$/.test(short.core))
    return { year: `..${short.core}-`, start, end: end + 1 };
  const before = tokens[start - 1]?.core ?? "";
  if (isYear(before)) return { year: `${before}-`, start: start - 1, end };
  return { year: "--", start, end };
}

function isYear(word: string): boolean {
  return /^[0-9]{4}$/.test(word);
}

function pad(number: number): string {
  return `${number}`.padStart(2, "0");
}
