/** A tool call, read at once: before anything is awaited, so that what changes afterwards changes nothing. */
import { type Agent, canonicalCopy, toNonce } from "@stepgate/core";
import type { GatedCall, Options } from "./options.ts";
import type { TicketKey } from "./ticket.ts";
import { contextReader } from "./trusted-context.ts";

/** A call as the SDK hands it over. */
export interface ToolCall {
  readonly tool: string;
  readonly toolCallId: unknown;
  readonly input: unknown;
}

/** Which run this is, for whom, and what the application vouches for in it. */
interface Situation {
  readonly sequenceId: string;
  readonly agent: Agent;
  /** Canonical text. */
  readonly context: string | undefined;
}

/** A call with all that the gate is told of it. */
export interface ReadCall extends Situation, TicketKey {
  readonly nonce: string | undefined;
  /** A copy; the input itself where JSON cannot say it, for the gate to refuse it by its path. */
  readonly args: unknown;
}

/** Reads what the options say now. Both give `undefined` where there is no sequence, and throw what an option throws. */
export interface CallReader {
  situation(): Situation | undefined;
  call(call: ToolCall): ReadCall | undefined;
}

/** A reader over the options of `gateTools`. @throws TypeError for a constant context that is no JSON. */
export function createCallReader(options: Options): CallReader {
  const readContext = contextReader(options.context);

  function situation(): Situation | undefined {
    const { sequenceId: source } = options;
    const sequenceId = typeof source === "function" ? source() : source;
    if (sequenceId === undefined) return undefined;
    return { sequenceId, agent: agentOf(options), context: readContext() };
  }

  return {
    situation,
    call({ tool, toolCallId: id, input }) {
      const copied = copyOf(input);
      const found = situation();
      if (found === undefined) return undefined;
      const toolCallId = typeof id === "string" && id !== "" ? id : undefined;
      const nonce = nonceOf(options, { tool, toolCallId });
      // Where JSON cannot say the input, the input itself, for the gate to refuse it by its path.
      const args: unknown = copied === undefined ? input : copied.copy;
      return { ...found, tool, toolCallId, nonce, argsText: copied?.text, args };
    },
  };
}

function copyOf(input: unknown): ReturnType<typeof canonicalCopy> | undefined {
  try {
    return canonicalCopy(input);
  } catch {
    return undefined;
  }
}

function agentOf({ agent }: Options): Agent {
  const { agent_id, tenant } = (typeof agent === "function" ? agent() : agent) ?? {};
  return {
    ...(agent_id === undefined ? {} : { agent_id }),
    ...(tenant === undefined ? {} : { tenant }),
  };
}

/** The tool-call id unless the option says otherwise; hashed where it is outside the grammar; none: the gate draws one. */
function nonceOf(options: Options, call: GatedCall): string | undefined {
  const id = options.nonce === undefined ? call.toolCallId : options.nonce(call);
  if (id === undefined || id === "") return undefined;
  if (typeof id !== "string") throw new TypeError("nonce must give a string, or undefined");
  return toNonce(id);
}
