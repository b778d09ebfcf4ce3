/** What a guard is told about its route, checked once at construction: a wrong option stops the start, not a request. */
import type { Agent, CallForm, Context, Gate, OutcomeStatus } from "@stepgate/core";
import type { Request, Response } from "express";

/** A value, or a promise of one. */
export type Awaitable<T> = T | Promise<T>;

/**
 * The options of `guard`. Tool, function and action type are constants of the route, never read from path, method or a
 * header. A function that throws, `args` apart, is a denial GATE_UNAVAILABLE with a process warning.
 */
export type GuardOptions<A> = CallForm & {
  readonly gate: Gate;
  /** Which run of the policy the request belongs to, from what was authenticated. `undefined`: 400, nothing is asked. */
  readonly sequenceId: (req: Request) => Awaitable<string | undefined>;
  /** What the action will be called with, picked explicitly from body, params and query. Throwing or `undefined`: 400. */
  readonly args: (req: Request) => Awaitable<A | undefined>;
  /**
   * - `"header"` (default): the `Stepgate-Nonce` header, random when absent. Given twice or empty: 400.
   * - `"required"`: the same, and 400 when absent.
   * - a function; `undefined` is random.
   */
  readonly nonce?: "header" | "required" | ((req: Request) => Awaitable<string | undefined>);
  /** Who acts, from what was authenticated; also the owner of a sequence that `context` opens. */
  readonly agent?: (req: Request) => Awaitable<Agent | undefined>;
  /** What the application vouches for: opens the sequence, or is added to it where it says something new. */
  readonly context?: (req: Request) => Awaitable<Context | undefined>;
  /** `"respond"` (default) answers a denial; `"next"` passes a `DeniedError` on, for {@link gateErrorHandler} or yours. */
  readonly onDeny?: "respond" | "next";
  /** What an answered request came to. Default: `succeeded` below status 400, else `failed`. Throwing: `unknown`. */
  readonly outcome?: (res: Response) => OutcomeStatus;
  /** Told where an outcome could not be found out or recorded. Default: a process warning. */
  readonly onOutcomeError?: (error: unknown) => void;
};

/** The options, checked and copied, so that nothing changes them later. @throws TypeError that names the option. */
export function checkedOptions<A>(given: GuardOptions<A>): GuardOptions<A> {
  const options = { ...given };
  for (const name of Object.keys(options)) {
    if (!NAMES.has(name)) throw new TypeError(`guard has no option '${name}'`);
  }
  checkGate(options.gate);
  checkCall(options);
  checkFunction("sequenceId", options.sequenceId);
  checkFunction("args", options.args);
  if (typeof options.nonce !== "function")
    checkOneOf("nonce", options.nonce, ["header", "required"]);
  checkOneOf("onDeny", options.onDeny, ["respond", "next"]);
  for (const name of ["agent", "context", "outcome", "onOutcomeError"] as const) {
    if (options[name] !== undefined) checkFunction(name, options[name]);
  }
  return Object.freeze(options);
}

/** The call that every request of this route is: the tool form, or function, action type and step. */
export function callOf(options: CallForm): CallForm {
  if (options.tool !== undefined) return { tool: options.tool };
  const { function: name, action_type, step } = options;
  return { function: name, action_type, ...(step === undefined ? {} : { step }) };
}

const CALL = ["tool", "function", "action_type", "step"] as const;
const NAMES: ReadonlySet<string> = new Set([
  ...CALL,
  "gate",
  "sequenceId",
  "args",
  "nonce",
  "agent",
  "context",
  "onDeny",
  "outcome",
  "onOutcomeError",
]);

function checkGate(gate: unknown): void {
  for (const method of ["decide", "outcome", "open", "addContext", "state", "receipts"] as const) {
    const members = gate as Partial<Record<string, unknown>> | null | undefined;
    if (typeof members?.[method] !== "function")
      throw new TypeError(`guard needs a gate, with its '${method}'`);
  }
}

function checkCall(options: CallForm): void {
  for (const name of CALL) {
    const value: unknown = options[name];
    if (value !== undefined && (typeof value !== "string" || value === ""))
      throw new TypeError(`guard: '${name}' must be a name`);
  }
  const explicit =
    options.function !== undefined ||
    options.action_type !== undefined ||
    options.step !== undefined;
  if (options.tool !== undefined && explicit)
    throw new TypeError("guard takes a tool, or function and action_type: not both");
  if (options.tool !== undefined) return;
  if (options.function === undefined)
    throw new TypeError("guard needs a tool, or function and action_type");
  if (options.action_type === undefined)
    throw new TypeError("guard needs an action_type beside its function");
}

function checkFunction(name: string, value: unknown): void {
  if (typeof value !== "function")
    throw new TypeError(`guard: '${name}' must be a function of the request or response`);
}

function checkOneOf(name: string, value: unknown, allowed: readonly unknown[]): void {
  if (value !== undefined && !allowed.includes(value))
    throw new TypeError(`guard: '${name}' must be one of ${allowed.join(", ")}`);
}
