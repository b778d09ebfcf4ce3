/** Texts as grounding reads them: split at white space, stripped of quotes, brackets and punctuation, folded. */

/** A string that is neither number, URL, date nor path. */
export interface Text {
  /** Its words, folded and stripped; may be none. */
  readonly words: readonly string[];
  /** The whole, folded, with runs of white space as one space. */
  readonly whole: string;
}

/** A piece between white space, and what was stripped of it. */
export interface Token {
  readonly lead: string;
  readonly core: string;
  readonly tail: string;
}

/** Reads a string; nothing for one of white space alone, and for one that cannot be folded. */
export function readText(text: string): Text | undefined {
  const folded = foldText(text);
  if (folded === undefined) return undefined;
  const whole = folded.replace(/\s+/g, " ");
  return whole === "" || whole === " " ? undefined : { words: wordsOf(folded), whole };
}

/** The folded words of a text; of one that cannot be folded, none. */
export function readWords(text: string): readonly string[] {
  return wordsOf(foldText(text) ?? "");
}

/** The tokens of a text, in order; such as are nothing but punctuation have an empty core. */
export function tokensOf(text: string): readonly Token[] {
  return piecesOf(text).map((piece) => {
    const { start, end } = strip(piece);
    return { lead: piece.slice(0, start), core: piece.slice(start, end), tail: piece.slice(end) };
  });
}

/** The tokens of a text as paths: dots behind a `/` are part of a path too, else `src/..` would turn into `src/`. */
export function pathTokensOf(text: string): readonly string[] {
  return piecesOf(text).map((piece) => {
    const { start, end } = strip(piece, "path");
    return piece.slice(start, end);
  });
}

/** Is in NFC as it stands. */
const ASCII = /^[\t-\r\x20-\x7e]*$/;

/**
 * NFC and lower case. Nothing for a text with more than 30 combining marks in a row, the bound of Unicode's Stream-Safe
 * Text Format: to normalise such a run takes quadratic time.
 */
function foldText(text: string): string | undefined {
  if (ASCII.test(text)) return text.toLowerCase();
  return /\p{M}{31}/u.test(text) ? undefined : text.normalize("NFC").toLowerCase();
}

function wordsOf(folded: string): readonly string[] {
  const words: string[] = [];
  for (const piece of piecesOf(folded)) {
    const { start, end } = strip(piece);
    if (end > start) words.push(piece.slice(start, end));
  }
  return words;
}

function piecesOf(text: string): readonly string[] {
  return text.match(/\S+/g) ?? [];
}

/** Quotes, brackets and punctuation but the full stop. */
const EDGE: ReadonlySet<string> = new Set("'\"`“”‘’„‚«»‹›()[]{}<>,;:!?");
const LETTER_OR_DIGIT = /[\p{L}\p{N}]/uy;

/** What is left between `start` and `end`. Of a `path` the dots behind its last `/` stay. */
function strip(piece: string, kind?: "path"): { readonly start: number; readonly end: number } {
  const start = stripFront(piece);
  let end = piece.length;
  while (end > start) {
    if (EDGE.has(piece.charAt(end - 1))) end -= 1;
    else if (piece.endsWith("'s", end) && end - start >= 2) end -= 2;
    else {
      let dots = end;
      while (dots > start && piece.charAt(dots - 1) === ".") dots -= 1;
      if (dots === end || (kind === "path" && piece.charAt(dots - 1) === "/")) break;
      end = dots;
    }
  }
  return { start, end };
}

/**
 * Dots before a `/` stay, which is more than the page says: else `./src` and `../etc` would turn into `/src` and `/etc`,
 * and a relative path, or one that climbs, would be taken for an absolute one.
 */
function stripFront(piece: string): number {
  let start = 0;
  while (start < piece.length) {
    if (EDGE.has(piece.charAt(start))) {
      start += 1;
      continue;
    }
    let dots = start;
    while (piece.charAt(dots) === ".") dots += 1;
    if (dots === start || piece.charAt(dots) === "/") break;
    LETTER_OR_DIGIT.lastIndex = dots;
    // `.env` keeps its dot, and `.5` is not 5.
    if (LETTER_OR_DIGIT.test(piece)) return dots - 1;
    start = dots;
  }
  return start;
}
