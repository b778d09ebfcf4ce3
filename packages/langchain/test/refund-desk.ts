/** The desk that the tests work at: a policy, a real gate on it, tools that note that they ran, and scripted models. */
import { openTestGate, type TestGateOptions } from "@stepgate/contract";
import type { ActionInput, Gate, Receipt } from "@stepgate/core";
import { type AgentMiddleware, FakeToolCallingModel, tool } from "langchain";
import { z } from "zod";

/** `intake`, then `refund`, then `settle`, and `read` before each. `danger` and `write_todos` are unknown to it. */
export const policy = {
  schema: "stepgate.policy/1",
  id: "refunds",
  version: "1",
  sequence: "look*, intake, look*, refund, look*, settle",
  functions: { look: ["READ"], intake: ["CHECK"], refund: ["WRITE"], settle: ["CLOSE"] },
  tools: {
    read: { function: "look", action: "READ" },
    intake: { function: "intake", action: "CHECK" },
    refund: { function: "refund", action: "WRITE" },
    settle: { function: "settle", action: "CLOSE" },
  },
};

export const order = z.object({ order: z.number() });

/** A gate, what ran, and the chain as words. */
export async function openDesk(options?: TestGateOptions, document: object = policy) {
  const { gate, receipts } = await openTestGate(document, options);
  const ran: { tool: string; args: unknown }[] = [];
  return {
    gate,
    receipts,
    ran,
    /** A tool with `{ order }` that notes that it ran; `body` makes its result. */
    make: (
      name: string,
      body: (args: { order: number }, config: unknown) => unknown = () => `${name} done`,
    ) =>
      tool(
        async (args: { order: number }, config: unknown) => {
          ran.push({ tool: name, args });
          return body(args, config);
        },
        { name, description: `${name} an order`, schema: order },
      ),
    names: () => ran.map((run) => run.tool),
    chain: async (sequenceId: string) => (await receipts(sequenceId)).map(inWords),
  };
}

export type Desk = Awaited<ReturnType<typeof openDesk>>;

/** A model that says these calls, a turn each, and then stops calling. */
export function scripted(...turns: readonly (readonly Call[])[]): FakeToolCallingModel {
  return new FakeToolCallingModel({ toolCalls: [...turns.map((turn) => [...turn]), []] });
}

interface Call {
  readonly name: string;
  readonly args: Record<string, unknown>;
  readonly id: string;
}

/** One call of the model. */
export function call(
  name: string,
  id: string,
  args: Record<string, unknown> = { order: 17 },
): Call & { type: "tool_call" } {
  return { name, args, id, type: "tool_call" };
}

/** The configuration that names a sequence. */
export function thread(id: string): { configurable: { thread_id: string } } {
  return { configurable: { thread_id: id } };
}

/** The same gate, with every request noted. */
export function tapped(gate: Gate): { readonly gate: Gate; readonly asked: ActionInput[] } {
  const asked: ActionInput[] = [];
  return {
    asked,
    gate: { ...gate, decide: (input) => (asked.push(structuredClone(input)), gate.decide(input)) },
  };
}

/** All that a stream yields. */
export async function collect<T>(stream: AsyncIterable<T>): Promise<T[]> {
  const all: T[] = [];
  for await (const one of stream) all.push(one);
  return all;
}

/**
 * A middleware of LangChain's own, as `createAgent` takes it: under `exactOptionalPropertyTypes` the zod 3 schemas in
 * their types are not assignable to LangChain's own constraint.
 */
export function stock(middleware: { readonly name: string }): AgentMiddleware {
  return middleware as AgentMiddleware;
}

/** What a rejected promise was rejected with; `undefined` where it resolved. */
export async function rejection(promise: Promise<unknown>): Promise<unknown> {
  try {
    await promise;
    return undefined;
  } catch (error) {
    return error;
  }
}

function inWords(receipt: Receipt): string {
  if (receipt.kind === "decision") {
    const answer =
      receipt.decision === "ALLOW"
        ? `ALLOW ${receipt.tool}`
        : `DENY ${receipt.tool} ${receipt.deny_code}`;
    return receipt.resumes === undefined ? answer : `${answer} resumes`;
  }
  return receipt.kind === "outcome" ? receipt.status : receipt.kind;
}
