/** A policy in TypeScript: the same language, with names that the compiler checks. */
import type { CompiledPolicy } from "@stepgate/core";
import { compilePolicy } from "./parse-policy.ts";
import type { FunctionEntry, PolicyTest, SequenceItem, ToolEntry } from "./policy-document.ts";

/** `"300s"`, or whole milliseconds. */
export type Duration = number | `${number}${"ms" | "s" | "m" | "h" | "d"}`;

/** A policy document whose names are known to the compiler. */
export interface PolicyDefinition<S, F, T> {
  readonly schema: "stepgate.policy/1";
  readonly id: string;
  readonly version: string;
  readonly sequence: S;
  // A conditional type and not an intersection: the compiler then names the member at fault, and the names that would do.
  readonly functions: F extends CheckedFunctions<F, StepsOf<S>>
    ? F
    : CheckedFunctions<F, StepsOf<S>>;
  readonly tools?: T extends CheckedTools<T, F> ? T : CheckedTools<T, F>;
  readonly sealOn?: readonly ActionsOf<F[keyof F]>[];
  readonly freshness?: Duration;
  readonly lifetime?: Duration;
  readonly tests?: readonly PolicyTest[];
}

/**
 * Checks and compiles a policy. A step, function or action type that is misspelt, a step without a function and an
 * unknown member do not compile; whatever types cannot say is checked when it runs.
 *
 * @throws PolicyError as `compilePolicy` does.
 * @example
 * const policy = definePolicy({ schema: "stepgate.policy/1", id: "refunds", version: "1", sequence: "lookup, refund",
 *   functions: { lookup: ["READ"], refund: ["WRITE_DB"] },
 *   tools: { get_order: { function: "lookup", action: "READ" } } });
 */
export function definePolicy<
  const S extends string | readonly SequenceItem[],
  // Type parameters for the names alone keep them literals without `as const` from the user.
  Name extends string,
  F extends Readonly<Record<string, FunctionEntry<Name>>>,
  Reference extends string,
  T extends Readonly<Record<string, ToolEntry<Reference>>> = Readonly<Record<never, never>>,
>(definition: PolicyDefinition<S, F, T>): CompiledPolicy {
  return compilePolicy(definition);
}

/** The step names in a sequence: a union of literals, or `string` where the sequence is not a literal. */
type StepsOf<S> = S extends string
  ? StepsIn<S>
  : S extends readonly (infer Item)[]
    ? Item extends string
      ? StepsIn<Item>
      : Item extends { readonly step: infer Name extends string }
        ? Name
        : never
    : never;

type StepsIn<S extends string> = string extends S
  ? string
  : Name<Split<Split<Split<Split<S, ",">, "|">, "(">, ")">>;

type Split<
  S extends string,
  By extends string,
  Parts = never,
> = S extends `${infer Head}${By}${infer Tail}` ? Split<Tail, By, Parts | Head> : Parts | S;

/** `execution{1` and `3}` are what a comma leaves of a counter. */
type Name<Part> = Part extends `${infer Head}{${string}`
  ? Bare<Head>
  : Part extends `${string}}${infer Tail}`
    ? Bare<Tail>
    : Bare<Part>;

type Space = " " | "\n" | "\t" | "\r";
type Bare<Part> = Part extends `${Space}${infer Tail}`
  ? Bare<Tail>
  : Part extends `${infer Head}${Space | "?" | "*" | "+"}`
    ? Bare<Head>
    : Part extends ""
      ? never
      : Part;

/** Asks of each function that it belongs to a step, and of each step that it has a function. */
type CheckedFunctions<F, Steps> = { readonly [K in keyof F]: CheckedFunction<F[K], K, Steps> } & {
  readonly [K in Exclude<Steps, StepOf<F, keyof F>> & string]: FunctionEntry;
};

type CheckedFunction<Entry, Name, Steps> = Entry extends readonly unknown[]
  ? Belongs<Name, Steps>
  : NoOthers<Entry, "actions" | "step"> & { readonly actions: readonly string[] } & (Entry extends {
        readonly step: string;
      }
        ? { readonly step: Steps | "*" }
        : Belongs<Name, Steps>);

/** A function belongs to the step of its own name, or must say to which. */
type Belongs<Name, Steps> = Name extends Steps ? unknown : { readonly step: Steps | "*" };

type StepOf<F, Name extends keyof F> = Name extends unknown
  ? F[Name] extends { readonly step: infer Step }
    ? Step
    : Name
  : never;

type CheckedTools<T, F> = {
  readonly [K in keyof T]: NoOthers<T[K], keyof ToolEntry> & {
    readonly function: keyof F | readonly (keyof F)[];
    readonly action: T[K] extends { readonly function: infer Names }
      ? Permitted<F, Names extends readonly (infer Name)[] ? Name : Names>
      : string;
  };
};

/** The action types of some functions. A function without any forbids on purpose, and then every name will do. */
type Permitted<F, Name> = Name extends keyof F
  ? [ActionsOf<F[Name]>] extends [never]
    ? string
    : ActionsOf<F[Name]>
  : never;

type ActionsOf<Entry> = Entry extends readonly (infer Action)[]
  ? Action
  : Entry extends { readonly actions: readonly (infer Action)[] }
    ? Action
    : never;

type NoOthers<Entry, Known> = { readonly [M in Exclude<keyof Entry, Known>]: never };
