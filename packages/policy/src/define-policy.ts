/** A policy in TypeScript: the same language, with names that the compiler checks. */
import type { CompiledPolicy, DenyCode } from "@stepgate/core/compiler";
import type { GroundingMatch } from "./grounding.ts";
import { compilePolicy } from "./parse-policy.ts";
import type {
  ApprovalEntry,
  ConditionEntries,
  FunctionEntry,
  LimitEntry,
  LimitsEntry,
  PolicyTest,
  SequenceItem,
  ToolEntry,
} from "./policy-document.ts";

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
  readonly constraints?: readonly OneOf<ConstraintsOf<NamesOf<S, F, T>>>[];
  readonly forbid?: readonly OneOrMore<ForbiddenOf<NamesOf<S, F, T>>>[];
  /** By pattern; what is listed of a function can only be less than it permits. */
  readonly agents?: Readonly<Record<string, { readonly functions?: Narrowed<NoInfer<F>> }>>;
  readonly sealOn?: readonly ActionsOf<F[keyof F]>[];
  readonly freshness?: Duration;
  readonly lifetime?: Duration;
  readonly tests?: readonly (Omit<PolicyTest, "calls"> & {
    readonly calls: readonly TestCall<NamesOf<S, F, T>>[];
  })[];
}

/**
 * Checks and compiles a policy. A step, function, action type or tool that is misspelt, a step without a function and
 * an unknown member do not compile; whatever types cannot say, such as CEL, is checked when it runs.
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
  : NoOthers<Entry, "actions" | "step" | keyof ConditionEntries> &
      ConditionEntries &
      CheckedConditions<Entry> & { readonly actions: readonly string[] } & (Entry extends {
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
  readonly [K in keyof T]: NoOthers<T[K], keyof ToolEntry> &
    ConditionEntries &
    CheckedConditions<T[K]> & {
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

type ActionsOf<Entry> = Entry extends readonly (infer Action extends string)[]
  ? Action
  : Entry extends { readonly actions: readonly (infer Action extends string)[] }
    ? Action
    : never;

/** The members within members, of which inference takes any. */
type CheckedConditions<Entry> = {
  readonly [K in keyof Entry & ("approval" | "grounded" | "limits")]: K extends "limits"
    ? CheckedLimits<Entry[K]>
    : K extends "approval"
      ? NoOthers<Entry[K], keyof ApprovalEntry>
      : CheckedSources<Entry[K]>;
};

type CheckedSources<Sources> = {
  readonly [K in keyof Sources]: Sources[K] extends { readonly from: unknown }
    ? NoOthers<Sources[K], "from" | "match"> & {
        readonly from: unknown;
        readonly match?: GroundingMatch;
      }
    : unknown;
};

type CheckedLimits<Limits> = NoOthers<Limits, keyof LimitsEntry> & {
  readonly [K in keyof Limits]: Limits[K] extends { readonly max: unknown }
    ? NoOthers<Limits[K], keyof LimitEntry | (K extends "sum" ? "of" : never)> & Windowed<Limits[K]>
    : unknown;
};

/** `per` and `window` stand together, or neither does. */
type Windowed<Limit> = Limit extends { readonly per: unknown } | { readonly window: unknown }
  ? { readonly per: "agent" | "tenant"; readonly window: Duration }
  : unknown;

/** Every name that the rest of a policy may use. */
interface NamesOf<S, F, T> {
  readonly function: keyof NoInfer<F> & string;
  readonly step: NoInfer<StepsOf<S>>;
  readonly action: NoInfer<ActionsOf<F[keyof F]>>;
  readonly tool: keyof NoInfer<T> & string;
}

type Names = Readonly<Record<"action" | "function" | "step" | "tool", unknown>>;

type Selector<N extends Names> = N["function"] | OneOf<N>;
interface ConstraintsOf<N extends Names> {
  readonly precedence: readonly [Selector<N>, Selector<N>];
  readonly never: readonly [Selector<N>, Selector<N>];
}

interface ForbiddenOf<N extends Names> {
  readonly actions: Several<N["action"]>;
  readonly functions: Several<N["function"]>;
  readonly steps: Several<N["step"]>;
  readonly tools: Several<N["tool"]>;
  readonly agents: Several<string>;
}

type Several<Name> = readonly [Name, ...Name[]];

/** Exactly one of the members. */
type OneOf<Members> = {
  [K in keyof Members]: { readonly [M in K]: Members[M] } & {
    readonly [M in Exclude<keyof Members, K>]?: never;
  };
}[keyof Members];

type OneOrMore<Members> = {
  [K in keyof Members]: Partial<Members> & { readonly [M in K]: Members[M] };
}[keyof Members];

type Narrowed<F> = {
  readonly [K in keyof F]?:
    | readonly ActionsOf<F[K]>[]
    | { readonly actions: readonly ActionsOf<F[K]>[] };
};

/** A name that the policy does not have is no typing error where the test expects that it is refused. */
type TestCall<N extends Names> = Pick<PolicyTest["calls"][number], "args" | "agent_id"> &
  (
    | (Called<N["tool"], N["function"], N["action"]> & {
        readonly step?: N["step"];
        readonly expect: "ALLOW" | DenyCode;
      })
    | (Called<never, N["function"], string> & {
        readonly step?: N["step"];
        readonly expect: "ACTION_NOT_ALLOWED";
      })
    | (Called<string, string, string> & {
        readonly step?: string;
        readonly expect: "NO_POLICY_MATCH" | "INVALID_REQUEST";
      })
  );

type Called<Tool, Fn, Action> =
  | { readonly tool: Tool; readonly function?: never; readonly action_type?: never }
  | { readonly tool?: never; readonly function: Fn; readonly action_type: Action };

type NoOthers<Entry, Known> = { readonly [M in Exclude<keyof Entry, Known>]: never };
