/** Functions and statements of generated code as closures: what `new Function` would make of the same text, as far as it is understood. */
import { expression } from "./generated-code-expressions.ts";
import {
  blockScope,
  declare,
  declareVar,
  type Evaluation,
  type Frame,
  functionScope,
  type Scope,
} from "./generated-code-scope.ts";
import { isWord, type Token, type Tokens, tokensOf, unexpected } from "./generated-code-tokens.ts";

type Closure = (...args: unknown[]) => unknown;

/**
 * A function of these parameters and this body.
 *
 * @throws SyntaxError for what is not understood, so that nothing is run that was read in part.
 */
export function closureOf(parameters: readonly string[], body: string): Closure {
  const tokens = tokensOf(body);
  const scope = functionScope();
  const slots = parameters.map((name) => declare(scope, name));
  const run = statements(tokens, scope, "end");
  return (...args) => {
    const frame: Frame = { slots: [] };
    for (const [index, slot] of slots.entries()) frame.slots[slot] = args[index];
    return result(run(frame));
  };
}

/** How a statement ended; `undefined`: the next one follows. */
type Ending =
  | { readonly kind: "return"; readonly value: unknown }
  | { readonly kind: "break"; readonly label?: string }
  | { readonly kind: "continue" }
  | undefined;

type Run = (frame: Frame) => Ending;

function result(ending: Ending): unknown {
  return ending?.kind === "return" ? ending.value : undefined;
}

/** Statements to a closing brace, or to the end of the text. */
function statements(tokens: Tokens, scope: Scope, end: "}" | "end"): Run {
  const list: Run[] = [];
  while (!isEnd(tokens.peek())) list.push(statement(tokens, scope));
  if ((end === "end") !== (tokens.peek().kind === "end")) throw unexpected(tokens.peek());
  tokens.take();
  return (frame) => {
    for (const run of list) {
      const ending = run(frame);
      if (ending !== undefined) return ending;
    }
    return undefined;
  };
}

function statement(tokens: Tokens, scope: Scope): Run {
  if (tokens.accept("{")) return statements(tokens, blockScope(scope), "}");
  if (tokens.accept(";")) return () => undefined;
  if (tokens.accept("if")) return branch(tokens, scope);
  if (tokens.accept("for")) return loop(tokens, blockScope(scope));
  if (tokens.peek().kind === "name" && isWord(tokens.peek(1), ":")) return labelled(tokens, scope);
  const run = simple(tokens, scope);
  if (!isEnd(tokens.peek())) tokens.expect(";");
  return run;
}

function isEnd(token: Token): boolean {
  return token.kind === "end" || isWord(token, "}");
}

/** What ends in a semicolon. */
function simple(tokens: Tokens, scope: Scope): Run {
  if (tokens.accept("return")) return returned(tokens, scope);
  if (tokens.accept("continue")) return () => ({ kind: "continue" });
  if (tokens.accept("break")) {
    const label = tokens.peek().kind === "name" ? tokens.name() : undefined;
    return () => ({ kind: "break", ...(label !== undefined && { label }) });
  }
  return DECLARING.has(tokens.peek().text) ? declaration(tokens, scope) : effect(tokens, scope);
}

const DECLARING: ReadonlySet<string> = new Set(["const", "let", "var"]);

function effect(tokens: Tokens, scope: Scope): Run {
  const evaluate = expression(tokens, scope);
  return (frame) => void evaluate(frame);
}

function returned(tokens: Tokens, scope: Scope): Run {
  const value = isWord(tokens.peek(), "function")
    ? functionOf(tokens, scope)
    : expression(tokens, scope);
  return (frame) => ({ kind: "return", value: value(frame) });
}

/** `let x;` makes a new x wherever it is met, `var x;` leaves the one that is there. */
function declaration(tokens: Tokens, scope: Scope): Run {
  const { slot, isVar } = variable(tokens, scope);
  const value = tokens.accept("=") ? expression(tokens, scope) : undefined;
  if (value === undefined && isVar) return () => undefined;
  return (frame) => void (frame.slots[slot] = value?.(frame));
}

function variable(
  tokens: Tokens,
  scope: Scope,
): { readonly slot: number; readonly isVar: boolean } {
  const isVar = tokens.take().text === "var";
  const name = tokens.name();
  return { slot: isVar ? declareVar(scope, name) : declare(scope, name), isVar };
}

function branch(tokens: Tokens, scope: Scope): Run {
  tokens.expect("(");
  const test = expression(tokens, scope);
  tokens.expect(")");
  const yes = statement(tokens, scope);
  const no = tokens.accept("else") ? statement(tokens, scope) : undefined;
  return (frame) => (test(frame) ? yes(frame) : no?.(frame));
}

function labelled(tokens: Tokens, scope: Scope): Run {
  const label = tokens.name();
  tokens.expect(":");
  const run = statement(tokens, scope);
  return (frame) => {
    const ending = run(frame);
    return ending?.kind === "break" && ending.label === label ? undefined : ending;
  };
}

function loop(tokens: Tokens, scope: Scope): Run {
  tokens.expect("(");
  const isEach = DECLARING.has(tokens.peek().text) && ["of", "in"].includes(tokens.peek(2).text);
  return isEach ? eachLoop(tokens, scope) : countedLoop(tokens, scope);
}

function eachLoop(tokens: Tokens, scope: Scope): Run {
  const { slot } = variable(tokens, scope);
  const isOf = tokens.name() === "of";
  const all = expression(tokens, scope);
  tokens.expect(")");
  const body = statement(tokens, scope);
  return (frame) => {
    const values = all(frame);
    for (const value of isOf ? (values as Iterable<unknown>) : namesIn(values)) {
      frame.slots[slot] = value;
      const ending = body(frame);
      if (endsLoop(ending)) return afterLoop(ending);
    }
    return undefined;
  };
}

/** What `in` goes over: inherited names too. */
function* namesIn(value: unknown): Generator<string> {
  for (const name in Object(value)) yield name;
}

function countedLoop(tokens: Tokens, scope: Scope): Run {
  const first = isWord(tokens.peek(), ";") ? undefined : simple(tokens, scope);
  tokens.expect(";");
  const test = isWord(tokens.peek(), ";") ? undefined : expression(tokens, scope);
  tokens.expect(";");
  const step = isWord(tokens.peek(), ")") ? undefined : expression(tokens, scope);
  tokens.expect(")");
  const body = statement(tokens, scope);
  return (frame) => {
    for (first?.(frame); test === undefined || test(frame); step?.(frame)) {
      const ending = body(frame);
      if (endsLoop(ending)) return afterLoop(ending);
    }
    return undefined;
  };
}

function endsLoop(ending: Ending): boolean {
  return ending !== undefined && ending.kind !== "continue";
}

/** A `break` without a label has come to where it leads. */
function afterLoop(ending: Ending): Ending {
  return ending?.kind === "break" && ending.label === undefined ? undefined : ending;
}

function functionOf(tokens: Tokens, around: Scope): Evaluation {
  tokens.expect("function");
  const scope = functionScope(around);
  const itself = declare(scope, tokens.name());
  const bind = parameterList(tokens, scope);
  tokens.expect("{");
  const run = statements(tokens, scope, "}");
  return (outer) => {
    const closure: Closure = (...args) => {
      const frame: Frame = { slots: [], outer };
      frame.slots[itself] = closure;
      for (const [index, parameter] of bind.entries()) parameter(frame, args[index]);
      return result(run(frame));
    };
    return closure;
  };
}

/** Gives what a parameter names the values of an argument. */
type Binding = (frame: Frame, value: unknown) => void;

function parameterList(tokens: Tokens, scope: Scope): readonly Binding[] {
  tokens.expect("(");
  return commaList(tokens, ")", () => parameter(tokens, scope));
}

function commaList<Item>(tokens: Tokens, end: string, item: () => Item): readonly Item[] {
  const items: Item[] = [];
  while (!tokens.accept(end)) {
    items.push(item());
    if (!isWord(tokens.peek(), end)) tokens.expect(",");
  }
  return items;
}

function parameter(tokens: Tokens, scope: Scope): Binding {
  const bind = tokens.accept("{") ? pattern(tokens, scope) : nameBinding(tokens, scope);
  const fallback = tokens.accept("=") ? expression(tokens, scope) : undefined;
  return (frame, value) => bind(frame, value === undefined ? fallback?.(frame) : value);
}

function nameBinding(tokens: Tokens, scope: Scope): Binding {
  const slot = declare(scope, tokens.name());
  return (frame, value) => void (frame.slots[slot] = value);
}

/** `{ a, b = 1 }` */
function pattern(tokens: Tokens, scope: Scope): Binding {
  const members = commaList(tokens, "}", () => {
    const { text: name } = tokens.peek();
    return { name, bind: parameter(tokens, scope) };
  });
  return (frame, value) => {
    for (const { name, bind } of members)
      bind(frame, (value as Readonly<Record<string, unknown>>)[name]);
  };
}
