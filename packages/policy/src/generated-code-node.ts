/** Runs what generates code. `#generated-code` in package.json picks this file or its counterpart `generated-code-web.ts`. */

/** Here generated code is a function of the engine's. */
export function withGeneratedCode<Result>(compile: () => Result): Result {
  return compile();
}
