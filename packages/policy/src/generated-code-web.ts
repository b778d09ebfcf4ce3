/**
 * Runs what generates code, where a page's Content-Security-Policy forbids to run text: the counterpart of
 * `generated-code-node.ts`. What is generated is read by the language's own grammar and run as closures.
 */
import { closureOf } from "./generated-code-closures.ts";

/**
 * The library that validates JSON Schemas makes its functions by `new Function`, with no other way in: for as long as it
 * compiles, synchronously, `Function` is what reads instead. Nobody else runs meanwhile.
 */
export function withGeneratedCode<Result>(compile: () => Result): Result {
  const own = globalThis.Function;
  Reflect.set(globalThis, "Function", readingFunction);
  try {
    return compile();
  } finally {
    Reflect.set(globalThis, "Function", own);
  }
}

/** What `new Function(...names, body)` makes. */
function readingFunction(...parts: readonly string[]): (...args: unknown[]) => unknown {
  return closureOf(parts.slice(0, -1), parts.at(-1) ?? "");
}
