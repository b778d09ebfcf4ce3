/** What `gateTool` and `gateMiddleware` are told, and the refusal of options that are missing or mistyped. */
import type { InferInteropZodOutput, InteropZodObject } from "@langchain/core/utils/types";
import type { BaseMessage } from "@langchain/core/messages";
import type { Agent, Context, Gate } from "@stepgate/core";

/**
 * What an option's function is told of a call. Only what the host set: no state and no arguments, which tools and models
 * write. `tool` is empty where no tool was called yet (`trust`, `offer`).
 */
export interface CallInfo {
  readonly tool: string;
  readonly toolCallId?: string;
  /** `configurable.thread_id`. */
  readonly threadId?: string;
  /** The run's context; before the agent only the keys of the middleware's `contextSchema`. */
  readonly context: unknown;
}

/** What tools and middleware share. Give both the same. */
export interface GateCallOptions {
  readonly gate: Gate;
  /** Which run of the policy a call belongs to. Default: `configurable.thread_id`. `undefined`: denied, nothing runs. */
  readonly sequenceId?: (call: CallInfo) => string | undefined;
  /** Overrides the nonce `<message id>:<tool-call id>`; `undefined` keeps it. */
  readonly nonce?: (call: CallInfo) => string | undefined;
  /** Who acts, as the host knows it. Default: nobody in particular. */
  readonly agent?: Agent | ((call: CallInfo) => Agent | undefined);
  /**
   * What APPROVAL_REQUIRED becomes: LangGraph's `interrupt`, answered by `Command({ resume: { approval } })` or
   * `{ reject: reason }`, or a denial like any other. Default `interrupt`; without a checkpointer it stays a denial.
   */
  readonly approval?: "interrupt" | "deny";
}

/** Options of `gateTool` and `gateTools`. */
export interface GateToolOptions extends GateCallOptions {
  /** Also closes the caller's own tool object, which is changed by it. Default `false`. */
  readonly harden?: boolean;
}

/** What `trust` may vouch by. */
export interface TrustInput<S extends InteropZodObject = InteropZodObject> {
  readonly context: InferInteropZodOutput<S>;
  readonly messages: readonly BaseMessage[];
  readonly threadId?: string;
}

/** Options of `gateMiddleware`. */
export interface GateMiddlewareOptions<
  S extends InteropZodObject = InteropZodObject,
> extends GateCallOptions {
  /** What the application vouches for on this turn: opens the sequence, or adds to it on a later turn. */
  readonly trust?: (input: TrustInput<S>) => Context | Promise<Context>;
  /** Before the agent LangChain shows middleware only these keys of the run's context. */
  readonly contextSchema?: S;
  /** `permitted` offers the model only tools whose step is admissible now, at a read a turn. Default `all`. */
  readonly offer?: "all" | "permitted";
  /** Tools that run at the provider, where no gate can stand. Default `remove`. */
  readonly serverTools?: "remove" | "keep";
  /** What a tool's own error becomes: a message to the model, as LangChain does without middleware, or the run's end. */
  readonly toolErrors?: "message" | "throw";
  /** Default `StepgateMiddleware`. */
  readonly name?: string;
}

type Check = readonly [isRight: (value: unknown) => boolean, says: string];

const isFunction = (value: unknown): boolean => typeof value === "function";
const isObject = (value: unknown): value is Record<string, unknown> =>
  typeof value === "object" && value !== null;
const oneOf = (...values: readonly string[]): Check => [
  (value) => values.some((one) => one === value),
  values.map((one) => `'${one}'`).join(" or "),
];
const gateWith = (...methods: readonly string[]): Check => [
  (value) => isObject(value) && methods.every((method) => isFunction(value[method])),
  "a gate",
];

const CALL_CHECKS: Readonly<Record<string, Check>> = {
  gate: gateWith("decide", "outcome", "approve"),
  sequenceId: [isFunction, "a function of the call"],
  nonce: [isFunction, "a function of the call"],
  agent: [
    (value) => isFunction(value) || isObject(value),
    "{ agent_id, tenant } or a function of the call",
  ],
  approval: oneOf("interrupt", "deny"),
};
const TOOL_CHECKS: Readonly<Record<string, Check>> = {
  ...CALL_CHECKS,
  harden: [(value) => typeof value === "boolean", "true or false"],
};
const MIDDLEWARE_CHECKS: Readonly<Record<string, Check>> = {
  ...CALL_CHECKS,
  gate: gateWith("decide", "outcome", "approve", "open", "addContext", "state"),
  trust: [isFunction, "a function"],
  contextSchema: [isObject, "a zod object schema"],
  offer: oneOf("all", "permitted"),
  serverTools: oneOf("remove", "keep"),
  toolErrors: oneOf("message", "throw"),
  name: [(value) => typeof value === "string" && value !== "", "a name"],
};

/** @throws TypeError that names the option at fault. */
export function checkToolOptions(options: GateToolOptions): void {
  check("gateTool", options, TOOL_CHECKS);
}

/** @throws TypeError that names the option at fault. */
export function checkMiddlewareOptions(options: GateMiddlewareOptions): void {
  check("gateMiddleware", options, MIDDLEWARE_CHECKS);
}

/** A misspelt option would fall back to its default in silence, so unknown ones are refused too. */
function check(where: string, options: unknown, checks: Readonly<Record<string, Check>>): void {
  if (!isObject(options)) throw new TypeError(`${where}: options are required`);
  if (options["gate"] === undefined) throw new TypeError(`${where}: gate is required`);
  for (const [name, value] of Object.entries(options)) {
    const found = Object.hasOwn(checks, name) ? checks[name] : undefined;
    if (found === undefined) throw new TypeError(`${where}: unknown option '${name}'`);
    if (value !== undefined && !found[0](value))
      throw new TypeError(`${where}: ${name} must be ${found[1]}`);
  }
}
