/** `gateTool`: a LangChain tool that asks the gate before it runs. The enforcement point of this package. */
import type { ClientTool } from "@langchain/core/tools";
import type { Gate } from "@stepgate/core";
import { member } from "./call-nonce.ts";
import { checkToolOptions, type GateToolOptions } from "./gate-options.ts";
import { gateImplementation } from "./gated-run.ts";
import {
  callsOwnFunc,
  implementationOf,
  type Implementation,
  labelOf,
} from "./tool-implementation.ts";

const gates = new WeakMap<object, Gate>();

/**
 * A tool of the same type that decides every call, by whatever way it comes, and runs the original on ALLOW with the
 * decided arguments. Decisions, outcomes and denials: adapters.md, `@stepgate/langchain`.
 *
 * @throws TypeError for a tool that no wrapper can hold, one that is gated already, and missing or mistyped options.
 * @example
 * const refund = gateTool(tool(pay, { name: "refund", schema }), { gate });
 */
export function gateTool<T extends ClientTool>(tool: T, options: GateToolOptions): T {
  checkToolOptions(options);
  const held = isGated(tool)
    ? "it is gated already; one call would be decided twice"
    : implementationOf(tool);
  if (typeof held === "string")
    throw new TypeError(`gateTool: ${labelOf(tool)} cannot be gated: ${held}`);

  const answersAs = { name: held.name, responseFormat: member(tool, "responseFormat") };
  const guard = (run: Implementation): Implementation =>
    gateImplementation(answersAs, run, options);
  const doors = {
    call: guard(held.call),
    ...(held.func === undefined ? {} : { func: guard(held.func) }),
  };
  const kwargs = member(tool, "lc_kwargs");

  const wrapper: T = Object.create(tool);
  forwardAccessors(wrapper, tool);
  close(wrapper, doors, kwargs);
  gates.set(wrapper, options.gate);
  if (options.harden === true) {
    harden(tool, doors, kwargs);
    gates.set(tool, options.gate);
  }
  return wrapper;
}

/**
 * {@link gateTool} for each tool of a list; the list's type is kept.
 *
 * @throws TypeError as `gateTool`.
 * @example
 * const agent = createAgent({ model, tools: gateTools([getOrder, refund], { gate }) });
 */
export function gateTools<const T extends readonly ClientTool[]>(
  tools: T,
  options: GateToolOptions,
): { -readonly [K in keyof T]: T[K] } {
  if (!Array.isArray(tools)) throw new TypeError("gateTools: tools must be an array");
  const gated = tools.map((tool) => gateTool(tool, options));
  // One wrapper for each member, of the member's own type: what `map` says less precisely.
  return gated as { -readonly [K in keyof T]: T[K] };
}

/** The gate that decides for this very object; `undefined` where none does. */
export function gateOf(tool: object): Gate | undefined {
  return gates.get(tool);
}

/** Whether `gateTool` would take this tool. */
export function isGateable(tool: ClientTool): boolean {
  return !isGated(tool) && typeof implementationOf(tool) !== "string";
}

/** Whether the tool, or an object that it inherits its doors from, is gated. */
function isGated(tool: unknown): boolean {
  for (
    let one: unknown = tool;
    typeof one === "object" && one !== null;
    one = Object.getPrototypeOf(one)
  ) {
    if (gates.has(one)) return true;
  }
  return false;
}

interface Doors {
  readonly call: Implementation;
  readonly func?: Implementation;
}

/** Accessors of the tool's own classes work on the original: they may use its private fields. */
function forwardAccessors(wrapper: object, tool: object): void {
  for (
    let owner: object | null = tool;
    owner !== null && owner !== Object.prototype;
    owner = Object.getPrototypeOf(owner)
  ) {
    for (const [key, { get, set }] of Object.entries(Object.getOwnPropertyDescriptors(owner))) {
      if ((get ?? set) === undefined || Object.hasOwn(wrapper, key)) continue;
      Object.defineProperty(wrapper, key, {
        get: () => Reflect.get(tool, key),
        set: (value) => {
          Reflect.set(tool, key, value);
        },
        configurable: true,
      });
    }
  }
}

/** Defines the guarded doors, `func` first, so that nobody can put others in their place. */
function close(target: object, doors: Doors, kwargs: unknown): void {
  const fixed = { writable: false, configurable: false };
  if (doors.func !== undefined)
    Object.defineProperty(target, "func", { value: doors.func, enumerable: true, ...fixed });
  Object.defineProperty(target, "_call", { value: doors.call, enumerable: false, ...fixed });
  // LangChain keeps what a tool was constructed from, `func` included.
  if (
    typeof kwargs === "object" &&
    kwargs !== null &&
    Object.hasOwn(kwargs, "func") &&
    doors.func !== undefined
  ) {
    Object.defineProperty(target, "lc_kwargs", {
      value: { ...kwargs, func: doors.func },
      enumerable: true,
      ...fixed,
    });
  }
}

function harden(tool: ClientTool, doors: Doors, kwargs: unknown): void {
  if (callsOwnFunc(tool))
    throw new TypeError(
      `gateTool: ${labelOf(tool)} cannot be hardened: it has a 'func' and a '_call' of its own`,
    );
  try {
    close(tool, doors, kwargs);
  } catch (cause) {
    throw new TypeError(
      `gateTool: ${labelOf(tool)} cannot be hardened: its members are fixed already`,
      { cause },
    );
  }
}
