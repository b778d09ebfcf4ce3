/** From a tool call to the gate's answer, once a call. Whatever goes wrong is a denial. */
import {
  type ActionInput,
  type Decision,
  type Deny,
  isDecision,
  refusal,
  warn,
} from "@stepgate/core";
import { createCallReader, type ReadCall, type ToolCall } from "./call.ts";
import { unavailable } from "./denial.ts";
import type { Options } from "./options.ts";
import { createTicketBox } from "./ticket.ts";
import { createPresenter } from "./trusted-context.ts";

/** The decision point of one `gateTools` call: `toolApproval` and `execute` share it. */
export interface DecisionPoint {
  /** Decides ahead of `execute`; with `ticket`, leaves there an answer that lets the call run. Never rejects. */
  decideAhead(call: ToolCall, ticket: boolean): Promise<Decision>;
  /**
   * The decision that `execute` enforces: the one left for it, else a new one. Rejects only for a call that was aborted
   * before anyone was asked.
   */
  decideNow(call: ToolCall, signal: AbortSignal | undefined): Promise<Decision>;
  /** The tools that the order admits now; none where nobody can say. Never rejects. */
  permitted(): Promise<readonly string[]>;
}

/** A decision point over the options of `gateTools`. @throws TypeError for a constant context that is no JSON. */
export function createDecisionPoint(options: Options): DecisionPoint {
  const { gate } = options;
  const read = createCallReader(options);
  const tickets = createTicketBox();
  const present = createPresenter(gate);

  async function ask(call: ReadCall): Promise<Decision> {
    await present(call.sequenceId, call.agent, call.context);
    const answer: unknown = await gate.decide(inputOf(call));
    if (!isDecision(answer)) throw new TypeError("the gate's answer is no decision");
    if (answer.decision === "DENY" && !answer.proceed) await tell(call, answer);
    return answer;
  }

  /** Whatever becomes of the telling, the call stays denied. */
  async function tell({ tool, toolCallId }: ReadCall, { approval, message }: Deny): Promise<void> {
    if (approval === undefined) return;
    try {
      await options.onApprovalRequired?.({ ...approval, tool, toolCallId, message });
    } catch (error) {
      warn("nobody may know of a call that waits for approval: onApprovalRequired failed", error);
    }
  }

  /** Of decisions that nobody will take: the action was not begun, and the call may come again. */
  async function interrupt(decisions: readonly Decision[]): Promise<void> {
    for (const decision of decisions) {
      if (decision.decision !== "ALLOW") continue;
      try {
        await gate.outcome(decision, { status: "interrupted" });
      } catch (error) {
        warn("an outcome could not be recorded, its ALLOW stays open", error);
      }
    }
  }

  // A call may come while its expired ticket is being withdrawn; it is asked about again only after that.
  let withdrawal = Promise.resolve();
  function withdraw(decisions: readonly Decision[]): Promise<void> {
    if (decisions.length > 0) withdrawal = withdrawal.then(() => interrupt(decisions));
    return withdrawal;
  }

  /** The decision that was left for this call; else the call, read, for a new one. */
  async function redeem(call: ToolCall): Promise<Decision | ReadCall> {
    const found = read.call(call);
    if (found === undefined) return noSequence();
    const { decision, withdrawn } = tickets.take(found);
    if (decision !== undefined) return decision;
    await withdraw(withdrawn);
    return found;
  }

  return {
    decideAhead: (call, ticket) =>
      guarded(async () => {
        const found = read.call(call);
        if (found === undefined) return noSequence();
        const decision = await ask(found);
        if (ticket && decision.proceed) await withdraw(tickets.leave(found, decision));
        return decision;
      }),

    async decideNow(call, signal) {
      const redeemed = await guarded(() => redeem(call));
      if ("decision" in redeemed) return redeemed;
      // Nobody was asked yet, so no step of the sequence is spent on a call that will not run.
      signal?.throwIfAborted();
      return guarded(() => ask(redeemed));
    },

    async permitted() {
      try {
        const found = read.situation();
        if (found === undefined) return [];
        await present(found.sequenceId, found.agent, found.context);
        return (await gate.state(found.sequenceId)).permitted_tools;
      } catch (error) {
        warn("the gate could not be asked, no tool is offered", error);
        return [];
      }
    },
  };
}

/** A fault of the gate, or of an option's function, is a denial. */
async function guarded<T>(step: () => Promise<T>): Promise<T | Deny> {
  try {
    return await step();
  } catch (error) {
    return unavailable(error);
  }
}

function inputOf({ sequenceId, agent, nonce, tool, args }: ReadCall): ActionInput {
  return {
    ...agent,
    sequence_id: sequenceId,
    tool,
    // Whatever this is, the gate looks at it itself, and refuses what is no JSON object.
    args: args as object,
    ...(nonce === undefined ? {} : { nonce }),
  };
}

function noSequence(): Deny {
  const message = "The call belongs to no sequence; nothing ran.";
  return refusal("INVALID_REQUEST", message, "request.sequence_id");
}
