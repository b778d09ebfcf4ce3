/** Where a JSON text is at fault: `JSON.parse` says that it is, and often not where. */

/** White space, then one token of JSON: a bracket or separator, a string, a number, or a word. */
const TOKEN =
  /[ \t\n\r]*(?:([{}[\],:])|("(?:[\x20\x21\x23-\x5b\x5d-\uffff]|\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4}))*")|(-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?)|(true|false|null))/y;

type Expected = "value" | "value or ]" | "name" | "name or }" | ":" | ", or end" | "nothing";

/**
 * The offset of the first character that breaks the grammar, or of the first member, number or text that strict parsing
 * refuses; `undefined` where there is none.
 */
export function jsonFaultOffset(text: string): number | undefined {
  const open: (Set<string> | null)[] = [];
  let expected: Expected = "value";
  TOKEN.lastIndex = 0;
  for (;;) {
    const from = TOKEN.lastIndex;
    const match = TOKEN.exec(text);
    if (match === null) return endFault(text, from, expected);
    const token = match[1] ?? match[2] ?? match[3] ?? match[4] ?? "";
    const at = TOKEN.lastIndex - token.length;
    const next = accept(token, expected, open);
    if (next === undefined) return at;
    expected = next;
  }
}

/** What may follow this token, or `undefined` where the token may not stand here. */
function accept(
  token: string,
  expected: Expected,
  open: (Set<string> | null)[],
): Expected | undefined {
  if (token === "}" || token === "]") return close(token, expected, open);
  if (token === ",") {
    if (expected !== ", or end") return undefined;
    return open.at(-1) === null ? "value" : "name";
  }
  if (token === ":") return expected === ":" ? "value" : undefined;
  if (expected === "name" || expected === "name or }") return acceptName(token, open);
  if (expected !== "value" && expected !== "value or ]") return undefined;
  if (token === "{" || token === "[") {
    open.push(token === "{" ? new Set() : null);
    return token === "{" ? "name or }" : "value or ]";
  }
  return isStrict(token) ? afterValue(open) : undefined;
}

function close(
  token: "}" | "]",
  expected: Expected,
  open: (Set<string> | null)[],
): Expected | undefined {
  const isArray = open.at(-1) === null;
  const mayClose =
    expected === ", or end" || expected === (token === "]" ? "value or ]" : "name or }");
  if (!mayClose || isArray !== (token === "]")) return undefined;
  open.pop();
  return afterValue(open);
}

function acceptName(token: string, open: (Set<string> | null)[]): Expected | undefined {
  const names = open.at(-1);
  if (!token.startsWith('"') || !names || !isStrict(token)) return undefined;
  const name = String(JSON.parse(token));
  if (names.has(name)) return undefined;
  names.add(name);
  return ":";
}

/** False for numbers that lose digits and for lone surrogates, which are JSON and yet say two things. */
function isStrict(token: string): boolean {
  if (token.startsWith('"')) return String(JSON.parse(token)).isWellFormed();
  if (!/^[-\d]/.test(token)) return true;
  const number = Number(token);
  // Written without an exponent, by the sender or canonically, an integer must be exact.
  const isInteger =
    /^-?\d+$/.test(token) || (Number.isInteger(number) && !`${number}`.includes("e"));
  return Number.isFinite(number) && (!isInteger || Number.isSafeInteger(number));
}

function afterValue(open: readonly unknown[]): Expected {
  return open.length === 0 ? "nothing" : ", or end";
}

/** No further token: the end of the text, in its place or not, or a character that begins none. */
function endFault(text: string, from: number, expected: Expected): number | undefined {
  const at = from + (/^[ \t\n\r]*/.exec(text.slice(from))?.[0].length ?? 0);
  return at === text.length && expected === "nothing" ? undefined : at;
}
