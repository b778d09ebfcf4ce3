/** The options of `gateTools`: their shape, and their check at construction. */
import type { Agent, ApprovalRequest, Context, Gate } from "@stepgate/core";
import type { ToolSet } from "ai";

/** What the `nonce` option is told of a call. */
export interface GatedCall<NAME extends string = string> {
  readonly tool: NAME;
  /** Absent where the provider gave none. */
  readonly toolCallId: string | undefined;
}

/** A call that waits for people: what they are shown and what they sign. */
export interface RequiredApproval extends ApprovalRequest, GatedCall {
  /** One sentence: what is asked, and of whom. */
  readonly message: string;
}

/** What the adapter needs of a gate, in the process or over HTTP. */
export type ToolGate = Pick<Gate, "decide" | "outcome" | "open" | "addContext" | "state">;

/** Options of `gateTools`; what is a function is called anew for every decision. */
export interface GateToolsOptions<TOOLS extends ToolSet> {
  readonly gate: ToolGate;
  /** One run of one policy. A function (over AsyncLocalStorage) for an agent made once; `undefined` from it denies. */
  readonly sequenceId: string | (() => string | undefined);
  /** What the application vouches for: opened before the first decision, added where it has changed since. */
  readonly context?: Context | (() => Context | undefined);
  /** Who acts; owns the sequence that `context` opens. */
  readonly agent?: Agent | (() => Agent | undefined);
  /** Replaces the tool-call id; must give the same for `toolApproval` and `execute`. `undefined`: a random nonce. */
  readonly nonce?: (call: GatedCall<keyof TOOLS & string>) => string | undefined;
  /** Names of tools that run elsewhere: only `toolApproval` guards them, and their ALLOW stays open. */
  readonly clientTools?: readonly (keyof TOOLS & string)[];
  /**
   * Told of every call that people must approve, each time it is asked about, before the SDK goes on: here the
   * application keeps the request for its approval route. Throwing is a process warning; the call is denied either way.
   */
  readonly onApprovalRequired?: (required: RequiredApproval) => void | Promise<void>;
}

/** The options once they are checked, whatever the names of the tools. */
export interface Options {
  readonly gate: ToolGate;
  readonly sequenceId: string | (() => string | undefined);
  readonly context?: Context | (() => Context | undefined);
  readonly agent?: Agent | (() => Agent | undefined);
  readonly nonce?: (call: GatedCall) => string | undefined;
  readonly clientTools: ReadonlySet<string>;
  readonly onApprovalRequired?: (required: RequiredApproval) => void | Promise<void>;
}

const METHODS = ["decide", "outcome", "open", "addContext", "state"] as const;
const NAMES: ReadonlySet<string> = new Set([
  "gate",
  "sequenceId",
  "context",
  "agent",
  "nonce",
  "clientTools",
  "onApprovalRequired",
]);

/** Reads the options once. @throws TypeError for missing, mistyped and unknown ones. */
export function readOptions<TOOLS extends ToolSet>(options: GateToolsOptions<TOOLS>): Options {
  if (typeof options !== "object" || options === null)
    throw new TypeError("gateTools: options are required");
  const fault = faultOf(options);
  if (fault !== undefined) throw new TypeError(`gateTools: ${fault}`);
  const { gate, sequenceId, context, agent, nonce, clientTools = [], onApprovalRequired } = options;
  return {
    gate,
    sequenceId,
    ...(context === undefined ? {} : { context }),
    ...(agent === undefined ? {} : { agent: typeof agent === "function" ? agent : { ...agent } }),
    // Called with names of this very set only.
    ...(nonce === undefined ? {} : { nonce: nonce as NonNullable<Options["nonce"]> }),
    clientTools: new Set<string>(clientTools),
    ...(onApprovalRequired === undefined ? {} : { onApprovalRequired }),
  };
}

function faultOf(
  options: Readonly<Record<keyof GateToolsOptions<ToolSet>, unknown>> | object,
): string | undefined {
  const { gate, sequenceId, context, agent, nonce, clientTools, onApprovalRequired } =
    options as Readonly<Record<string, unknown>>;
  const unknown = Object.keys(options).find((name) => !NAMES.has(name));
  if (unknown !== undefined) return `unknown option '${unknown}'`;
  const missing = METHODS.find(
    (method) => typeof (gate as ToolGate | undefined)?.[method] !== "function",
  );
  if (missing !== undefined) return `gate must be a gate; it has no '${missing}'`;
  if (typeof sequenceId !== "string" && typeof sequenceId !== "function")
    return "sequenceId must be a string or a function";
  if (context !== undefined && !isObjectOrFunction(context))
    return "context must be an object or a function";
  if (agent !== undefined && !isObjectOrFunction(agent))
    return "agent must be an object or a function";
  if (nonce !== undefined && typeof nonce !== "function") return "nonce must be a function";
  if (clientTools !== undefined && !isListOfNames(clientTools))
    return "clientTools must be a list of names";
  if (onApprovalRequired !== undefined && typeof onApprovalRequired !== "function")
    return "onApprovalRequired must be a function";
  return undefined;
}

function isObjectOrFunction(value: unknown): boolean {
  return (
    typeof value === "function" ||
    (typeof value === "object" && value !== null && !Array.isArray(value))
  );
}

function isListOfNames(value: unknown): boolean {
  return Array.isArray(value) && value.every((name) => typeof name === "string");
}
