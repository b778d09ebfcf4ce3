/** The step order once more, by regular expressions over the trace of steps that were allowed. No automaton, no table. */

/** Answers for a trace of allowed steps. */
export interface StepOrder {
  readonly steps: readonly string[];
  /** True where some complete run begins like this. */
  begun(trace: readonly string[]): boolean;
  /** True where this is a complete run. */
  complete(trace: readonly string[]): boolean;
}

/** Names separated by commas: each once, in this order. `^(?:a(?:,b(?:,c)?)?)?$` */
export function listOrder(steps: readonly string[]): StepOrder {
  const begun = steps.reduceRight(
    (rest, step, i) => `(?:${i === 0 ? "" : ","}${step}${rest})?`,
    "",
  );
  return {
    steps,
    begun: (trace) => new RegExp(`^${begun}$`).test(trace.join(",")),
    complete: (trace) => new RegExp(`^${steps.join(",")}$`).test(trace.join(",")),
  };
}

/**
 * Any order, written as a JavaScript expression over one letter a step. What begins a run is found by writing down
 * every string of at most `longest` letters and keeping those that the expression matches: slow, and plainly right for
 * traces that can be completed within that length.
 */
export function expressionOrder(
  letters: Readonly<Record<string, string>>,
  expression: RegExp,
  longest: number,
): StepOrder {
  const whole = new RegExp(`^(?:${expression.source})$`);
  const alphabet = Object.values(letters);
  const beginnings = new Set<string>();
  let strings = [""];
  for (let length = 0; length <= longest; length++) {
    for (const text of strings)
      if (whole.test(text)) for (let i = 0; i <= text.length; i++) beginnings.add(text.slice(0, i));
    if (length < longest)
      strings = strings.flatMap((text) => alphabet.map((letter) => text + letter));
  }
  const spell = (trace: readonly string[]): string =>
    trace.map((step) => letters[step] ?? "?").join("");
  return {
    steps: Object.keys(letters),
    begun: (trace) => beginnings.has(spell(trace)),
    complete: (trace) => whole.test(spell(trace)),
  };
}
