/** People inside a graph: LangGraph's interrupt takes the request for an approval out, and the answer in. */
import { interrupt } from "@langchain/langgraph";
import {
  type ActionInput,
  type Approval,
  type ApprovalRequest,
  type Decision,
  type DecisionReceipt,
  type Deny,
  warn,
} from "@stepgate/core";
import { askGate, type FrameworkCall, readCall } from "./call-decision.ts";
import { member } from "./call-nonce.ts";
import { isRefusal } from "./denial.ts";
import type { GateCallOptions } from "./gate-options.ts";

/** The value of the interrupt: what a person is shown of a call, and what an approval of it names. */
export interface ApprovalInterrupt extends Omit<ApprovalRequest, "request"> {
  readonly type: "stepgate.approval";
  /** Record hash of the denial: the `request` of the statement that a person signs. */
  readonly decision_hash: string;
  readonly tool: string;
  /** One sentence: what is asked, and of whom. */
  readonly message: string;
  /** The denial itself; its `args_digest` is that of `args` under `args_key`. */
  readonly receipt: DecisionReceipt;
}

/**
 * The decision on a call, after people were asked where they must be. Only the gate lets a call run: an answer is handed
 * to it, and then it is asked again. `decided` is told of the first decision. Without a checkpointer, and for a call
 * without an id by which it would be known again, a denial stays one.
 *
 * @throws LangGraph's interrupt where an answer is not there yet; LangGraph then comes back to the call.
 */
export async function decideWithPeople(
  options: GateCallOptions,
  call: FrameworkCall,
  args: object,
  decided: () => void = () => undefined,
): Promise<Decision> {
  const request = readCall(options, call, args);
  if ("decision" in request) {
    decided();
    return request;
  }
  let decision = await askGate(options, request);
  decided();
  if (options.approval === "deny" || request.nonce === undefined) return decision;
  if (!isAwaited(decision)) return passAnswers(options, call, decision);
  while (isAwaited(decision)) {
    const given = ask(interruptOf(call, decision));
    if (given === undefined) return decision;
    const refused = await takeAnswer(options, decision, given.answer);
    if (refused !== undefined) return refused;
    // The copy that people were shown, whatever became of the object that was handed in.
    const again: ActionInput = { ...request, args: decision.approval.args };
    decision = await askGate(options, again);
  }
  return decision;
}

/** A denial that people may answer. */
type Awaited = Deny & { readonly approval: ApprovalRequest; readonly receipt: DecisionReceipt };

function isAwaited(decision: Decision): decision is Awaited {
  return isRefusal(decision) && decision.approval !== undefined && decision.receipt !== undefined;
}

function interruptOf({ tool }: FrameworkCall, denial: Awaited): ApprovalInterrupt {
  const { request, ...rest } = denial.approval;
  const { message, receipt } = denial;
  return { type: "stepgate.approval", decision_hash: request, tool, ...rest, message, receipt };
}

/** The answer to an interrupt; `undefined` where nobody can be asked. @throws the interrupt where it was not answered. */
function ask(value: unknown): { readonly answer: unknown } | undefined {
  try {
    return { answer: interrupt(value) };
  } catch (error) {
    if (isBubbleUp(error)) throw error;
    return undefined;
  }
}

/** True for the errors by which LangGraph leaves a task that it will enter again. */
export function isBubbleUp(error: unknown): boolean {
  return member(error, "is_bubble_up") === true;
}

/** Hands a signed approval to the gate; the denial that stands where the answer is none, or the gate refuses it. */
async function takeAnswer(
  { gate }: GateCallOptions,
  denial: Awaited,
  answer: unknown,
): Promise<Deny | undefined> {
  const reason = member(answer, "reject");
  if (reason !== undefined) return rejected(denial, reason);
  if (!isAnswerTo(denial.approval.request, answer)) return denial;
  try {
    // The gate checks every member, and refuses what is no statement by a person whom it trusts.
    await gate.approve(member(answer, "approval") as Approval);
    return undefined;
  } catch (error) {
    warn("an approval was not taken, its call stays denied", error);
    return denial;
  }
}

/** Nothing is recorded of a refusal that nobody signed: the denial stands as it is. */
function rejected(denial: Awaited, reason: unknown): Deny {
  const why = typeof reason === "string" && reason !== "" ? `: ${reason}` : ".";
  return { ...denial, message: `${denial.message} It was refused${why}` };
}

function isAnswerTo(request: string, answer: unknown): boolean {
  return member(member(answer, "approval"), "request") === request;
}

/**
 * LangGraph counts interrupts: on every re-entry of a call that people were asked about, the answers that it had are
 * taken out of the way again, or else the tool's own `interrupt` would receive them.
 */
async function passAnswers(
  { gate }: GateCallOptions,
  { tool, config }: FrameworkCall,
  decision: Decision,
): Promise<Decision> {
  const { earlier, receipt } = decision;
  if (earlier?.deny_code !== "APPROVAL_REQUIRED" || receipt?.mode === "shadow") return decision;
  const { decision_hash } = earlier;
  // Seen where the approval came past the graph: whatever the answer, the call runs when LangGraph comes back.
  const value = { type: "stepgate.approved", decision_hash, tool, message: decision.message };
  try {
    do ask(value);
    while (isAnswerTo(decision_hash, nextAnswer(config)));
  } catch (error) {
    // Nobody need be asked about a call that will not run.
    if (decision.decision === "DENY") return decision;
    await gate.outcome(decision, { status: "interrupted" }).catch((fault: unknown) => {
      warn("an outcome could not be recorded, its ALLOW stays open", fault);
    });
    throw error;
  }
  return decision;
}

/** What the next `interrupt` of this task would return of the answers that it had before. */
function nextAnswer(config: unknown): unknown {
  const scratchpad = member(member(config, "configurable"), "__pregel_scratchpad");
  const answers = member(scratchpad, "resume");
  const asked = member(scratchpad, "interruptCounter");
  return Array.isArray(answers) && typeof asked === "number" ? answers[asked + 1] : undefined;
}
