/** Expressions of generated code as closures, by the grammar and the meaning that JavaScript gives them. */
import { parseStrictJson } from "@stepgate/core/compiler";
import { type Evaluation, find, type Frame, type Scope, slotsAt } from "./generated-code-scope.ts";
import { isWord, type Tokens, unexpected } from "./generated-code-tokens.ts";

/** Reads an expression. @throws SyntaxError for what is not understood. */
export function expression(tokens: Tokens, scope: Scope): Evaluation {
  const left = conditional(tokens, scope);
  for (const sign of ["=", "+=", "-="])
    if (tokens.accept(sign)) {
      const { update } = left;
      if (update === undefined) throw unexpected({ kind: "sign", text: sign });
      const value = expression(tokens, scope);
      const change = sign === "=" ? undefined : BINARY.get(sign.slice(0, 1))?.apply;
      return (frame) =>
        update(frame, (before) =>
          change === undefined ? value(frame) : change(before, value(frame)),
        ).after;
    }
  return left.read;
}

/** What an expression is read as; what can be assigned to has `update`, and a member its `object`. */
interface Operand {
  readonly read: Evaluation;
  readonly update?: (
    frame: Frame,
    change: (before: unknown) => unknown,
  ) => { readonly before: unknown; readonly after: unknown };
  readonly object?: Evaluation;
  readonly key?: Evaluation;
}

function conditional(tokens: Tokens, scope: Scope): Operand {
  const test = binary(tokens, scope, 0);
  if (!tokens.accept("?")) return test;
  const yes = expression(tokens, scope);
  tokens.expect(":");
  const no = expression(tokens, scope);
  return { read: (frame) => (test.read(frame) ? yes(frame) : no(frame)) };
}

interface Binary {
  readonly rank: number;
  apply(left: unknown, right: unknown): unknown;
}

// The operands' types are whatever they are: each operator means what it means in JavaScript.
const BINARY: ReadonlyMap<string, Binary> = new Map<string, Binary>([
  ["==", { rank: 3, apply: (a, b) => a == b }],
  ["!=", { rank: 3, apply: (a, b) => a != b }],
  ["===", { rank: 3, apply: (a, b) => a === b }],
  ["!==", { rank: 3, apply: (a, b) => a !== b }],
  ["<", { rank: 4, apply: (a, b) => (a as number) < (b as number) }],
  [">", { rank: 4, apply: (a, b) => (a as number) > (b as number) }],
  ["<=", { rank: 4, apply: (a, b) => (a as number) <= (b as number) }],
  [">=", { rank: 4, apply: (a, b) => (a as number) >= (b as number) }],
  ["+", { rank: 5, apply: (a, b) => (a as number) + (b as number) }],
  ["-", { rank: 5, apply: (a, b) => (a as number) - (b as number) }],
  ["%", { rank: 6, apply: (a, b) => (a as number) % (b as number) }],
]);

/** `||` and `&&`, then operators of at least this rank, from left to right. */
function binary(tokens: Tokens, scope: Scope, rank: number): Operand {
  let left = rank > 6 ? unary(tokens, scope) : binary(tokens, scope, rank + 1);
  for (;;) {
    const { read } = left;
    if (rank === 1 && tokens.accept("||")) {
      const right = binary(tokens, scope, rank + 1).read;
      left = { read: (frame) => read(frame) || right(frame) };
    } else if (rank === 2 && tokens.accept("&&")) {
      const right = binary(tokens, scope, rank + 1).read;
      left = { read: (frame) => read(frame) && right(frame) };
    } else {
      const { kind, text } = tokens.peek();
      const operator = kind === "sign" ? BINARY.get(text) : undefined;
      if (operator?.rank !== rank) return left;
      tokens.take();
      const right = binary(tokens, scope, rank + 1).read;
      left = { read: (frame) => operator.apply(read(frame), right(frame)) };
    }
  }
}

function unary(tokens: Tokens, scope: Scope): Operand {
  for (const [sign, apply] of UNARY)
    if (tokens.accept(sign)) {
      const { read } = unary(tokens, scope);
      return { read: (frame) => apply(read(frame)) };
    }
  return postfix(tokens, scope);
}

const UNARY: readonly (readonly [string, (value: unknown) => unknown])[] = [
  ["!", (value) => !value],
  ["-", (value) => -(value as number)],
  ["typeof", (value) => typeof value],
];

function postfix(tokens: Tokens, scope: Scope): Operand {
  const operand = suffixed(tokens, scope);
  for (const [sign, step] of [
    ["++", 1],
    ["--", -1],
  ] as const)
    if (tokens.accept(sign)) {
      const { update } = operand;
      if (update === undefined) throw unexpected({ kind: "sign", text: sign });
      return { read: (frame) => update(frame, (before) => Number(before) + step).before };
    }
  return operand;
}

/** Members and calls. */
function suffixed(tokens: Tokens, scope: Scope): Operand {
  let operand = primary(tokens, scope);
  for (;;)
    if (tokens.accept(".")) {
      const name = tokens.name();
      operand = member(operand.read, () => name);
    } else if (tokens.accept("[")) {
      operand = member(operand.read, expression(tokens, scope));
      tokens.expect("]");
    } else if (tokens.accept("(")) operand = call(operand, listed(tokens, scope, ")"));
    else return operand;
}

function member(object: Evaluation, key: Evaluation): Operand {
  return {
    object,
    key,
    read: (frame) => members(object(frame))[key(frame) as PropertyKey],
    update(frame, change) {
      const [target, name] = [members(object(frame)), key(frame) as PropertyKey];
      const before = target[name];
      const after = change(before);
      target[name] = after;
      return { before, after };
    },
  };
}

/** Any value: to look into null and undefined throws, as it does in JavaScript. */
function members(value: unknown): Record<PropertyKey, unknown> {
  return value as Record<PropertyKey, unknown>;
}

function call({ read, object, key }: Operand, args: readonly Evaluation[]): Operand {
  const values = (frame: Frame): unknown[] => args.map((arg) => arg(frame));
  if (object === undefined || key === undefined)
    return { read: (frame) => Reflect.apply(callable(read(frame)), undefined, values(frame)) };
  return {
    read(frame) {
      const receiver = object(frame);
      const method = callable(members(receiver)[key(frame) as PropertyKey]);
      return Reflect.apply(method, receiver, values(frame));
    },
  };
}

function callable(value: unknown): (...args: unknown[]) => unknown {
  if (typeof value !== "function") throw new TypeError("generated code calls what is no function");
  return value as (...args: unknown[]) => unknown;
}

function primary(tokens: Tokens, scope: Scope): Operand {
  const token = tokens.take();
  if (token.kind === "name") return named(token.text, scope);
  if (token.kind === "number") return constant(Number(token.text));
  // The library writes texts as JSON does.
  if (token.kind === "text") return constant(parseStrictJson(token.text));
  if (token.kind === "pattern") return pattern(token.text);
  if (isWord(token, "(")) {
    const read = expression(tokens, scope);
    tokens.expect(")");
    return { read };
  }
  if (isWord(token, "[")) {
    const items = listed(tokens, scope, "]");
    return { read: (frame) => items.map((item) => item(frame)) };
  }
  if (isWord(token, "{")) return object(tokens, scope);
  throw unexpected(token);
}

function constant(value: unknown): Operand {
  return { read: () => value };
}

function pattern(literal: string): Operand {
  const end = literal.lastIndexOf("/");
  const [source, flags] = [literal.slice(1, end), literal.slice(end + 1)];
  return { read: () => new RegExp(source, flags) };
}

/** What generated code may name beside its own variables. */
const GLOBALS: ReadonlyMap<string, unknown> = new Map<string, unknown>([
  ["true", true],
  ["false", false],
  ["null", null],
  ["undefined", undefined],
  ["Array", Array],
  ["Object", Object],
  ["isFinite", isFinite],
  ["isNaN", isNaN],
]);

function named(name: string, scope: Scope): Operand {
  const place = find(scope, name);
  if (place === undefined)
    return GLOBALS.has(name) ? constant(GLOBALS.get(name)) : undeclared(name);
  const { depth, slot } = place;
  return {
    read: depth === 0 ? ({ slots }) => slots[slot] : (frame) => slotsAt(frame, depth)[slot],
    update(frame, change) {
      const slots = slotsAt(frame, depth);
      const before = slots[slot];
      const after = change(before);
      slots[slot] = after;
      return { before, after };
    },
  };
}

/** Some of the library's code names what it does not declare, and reads it before it writes it: there it ends. */
function undeclared(name: string): Operand {
  const end = (): never => {
    throw new ReferenceError(`${name} is not defined`);
  };
  return { read: end, update: end };
}

/** Expressions between commas, to this sign. */
function listed(tokens: Tokens, scope: Scope, end: string): readonly Evaluation[] {
  const items: Evaluation[] = [];
  while (!tokens.accept(end)) {
    items.push(expression(tokens, scope));
    if (!isWord(tokens.peek(), end)) tokens.expect(",");
  }
  return items;
}

function object(tokens: Tokens, scope: Scope): Operand {
  const entries: (readonly [string, Evaluation])[] = [];
  while (!tokens.accept("}")) {
    const token = tokens.take();
    const name = token.kind === "text" ? String(parseStrictJson(token.text)) : token.text;
    if (token.kind !== "text" && token.kind !== "name") throw unexpected(token);
    const isShort = token.kind === "name" && !isWord(tokens.peek(), ":");
    if (!isShort) tokens.expect(":");
    entries.push([name, isShort ? named(name, scope).read : expression(tokens, scope)]);
    if (!isWord(tokens.peek(), "}")) tokens.expect(",");
  }
  return {
    read: (frame) => Object.fromEntries(entries.map(([name, value]) => [name, value(frame)])),
  };
}
