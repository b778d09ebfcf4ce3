/** The text of generated code as tokens. Whatever else JavaScript knows is refused. */

/** `name`: keywords too. `text`, `number` and `pattern` are literals. */
export interface Token {
  readonly kind: "name" | "number" | "text" | "pattern" | "sign" | "end";
  readonly text: string;
}

/** Tokens, taken one by one. */
export interface Tokens {
  /** The token that comes next, or after as many more. */
  peek(further?: number): Token;
  take(): Token;
  /** Takes a sign or a keyword if it comes next. */
  accept(text: string): boolean;
  /** @throws SyntaxError where something else comes next. */
  expect(text: string): void;
  /** Takes a name. @throws SyntaxError where something else comes next. */
  name(): string;
}

const TOKEN =
  /\s*(?:(?<name>[A-Za-z_$][\w$]*)|(?<number>(?:0|[1-9]\d*)(?:\.\d+)?(?:e[+-]?\d+)?(?![\w$.]))|(?<text>"(?:[^"\\\n]|\\.)*")|(?<pattern>\/(?:[^/\\[\n]|\\.)+\/[a-z]*)|(?<sign>===|!==|==|!=|<=|>=|&&|\|\||\+\+|--|\+=|-=|[-+%<>=!?:;,.(){}[\]]))\s*/y;

const END: Token = { kind: "end", text: "" };

/** Reads all of it. @throws SyntaxError at the first character that begins none of the tokens. */
export function tokensOf(code: string): Tokens {
  const tokens = [...scan(code)];
  let at = 0;
  const peek = (further = 0): Token => tokens[at + further] ?? END;
  const accept = (text: string): boolean => {
    const is = isWord(peek(), text);
    if (is) at++;
    return is;
  };
  return {
    peek,
    accept,
    take: () => tokens[at++] ?? END,
    expect(text) {
      if (!accept(text)) throw unexpected(peek());
    },
    name() {
      const { kind, text } = peek();
      if (kind !== "name") throw unexpected(peek());
      at++;
      return text;
    },
  };
}

/** Whether a token is this sign or this keyword. */
export function isWord(token: Token, text: string): boolean {
  return (token.kind === "sign" || token.kind === "name") && token.text === text;
}

/** What to throw at a token that has no place where it stands. */
export function unexpected({ text }: Token): SyntaxError {
  return new SyntaxError(
    `generated code that is not understood: ${text.slice(0, 40) || "its end"}`,
  );
}

function* scan(code: string): Generator<Token> {
  TOKEN.lastIndex = 0;
  for (let at = 0; at < code.length; at = TOKEN.lastIndex) {
    TOKEN.lastIndex = at;
    const groups = TOKEN.exec(code)?.groups;
    if (groups === undefined) throw unexpected({ kind: "sign", text: code.slice(at) });
    for (const kind of ["name", "number", "text", "pattern", "sign"] as const) {
      const text = groups[kind];
      if (text !== undefined) yield { kind, text };
    }
  }
}
