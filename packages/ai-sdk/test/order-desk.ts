/** The world of the tests: a policy over orders, tools that note their runs, and a reader of chains. */
import { openTestGate, type TestGate, type TestGateOptions } from "@stepgate/contract";
import type { Gate, Receipt } from "@stepgate/core";
import { tool } from "ai";
import { z } from "zod";

/** Look up first, then any number of refunds, then close; browse at any time. `wipe` is not in it. */
export const policy = {
  schema: "stepgate.policy/1",
  id: "orders",
  version: "1",
  sequence: "browse*, lookup, (refund | browse)*, close",
  functions: {
    lookup: ["READ"],
    refund: ["WRITE_DB"],
    close: ["SEAL_SEQUENCE"],
    browse: ["READ"],
  },
  tools: {
    getOrder: { function: "lookup", action: "READ" },
    refund: { function: "refund", action: "WRITE_DB" },
    closeOrder: { function: "close", action: "SEAL_SEQUENCE" },
    search: { function: "browse", action: "READ" },
    code: { function: "browse", action: "READ" },
    confirm: { function: "browse", action: "READ" },
  },
} as const;

// Tests provoke this warning on purpose, by the hundred; every other one is still shown.
process.removeAllListeners("warning");
process.on("warning", (warning) => {
  if (warning.name !== "StepgateWarning") console.error(warning);
});

/** A gate on {@link policy}, and its chain in words. */
export interface OrderDesk extends TestGate {
  /** e.g. `["open", "ALLOW getOrder", "succeeded", "DENY wipe NO_POLICY_MATCH"]`. */
  chain(sequenceId?: string): Promise<readonly string[]>;
}

/** The sequence of a test that has only one. */
export const RUN = "run-1";

/** Opens the desk. */
export async function openDesk(
  options?: TestGateOptions,
  document: object = policy,
): Promise<OrderDesk> {
  const opened = await openTestGate(document, options);
  return {
    ...opened,
    chain: async (sequenceId = RUN) => (await opened.receipts(sequenceId)).map(inWords),
  };
}

/** Tools that note their runs, and the notes. */
export interface Counter {
  readonly runs: string[];
  readonly tools: ReturnType<typeof countedTools>;
}

/** The tools of the desk; every execution is noted. */
export function counter(): Counter {
  const runs: string[] = [];
  return { runs, tools: countedTools(runs) };
}

/** A gate some of whose methods are replaced. */
export function replaced(gate: Gate, methods: Partial<Gate>): Gate {
  return { ...gate, ...methods };
}

function countedTools(runs: string[]) {
  const order = z.object({ order: z.number() });
  return {
    getOrder: tool({
      description: "Looks an order up.",
      inputSchema: order,
      execute: async ({ order }) => {
        runs.push(`getOrder ${order}`);
        return { order, total: 40 };
      },
    }),
    refund: tool({
      inputSchema: z.object({ order: z.number(), amount: z.number().default(5) }),
      execute: ({ order, amount }) => {
        runs.push(`refund ${order} ${amount}`);
        return `refunded ${amount}`;
      },
    }),
    wipe: tool({
      inputSchema: z.object({}),
      execute: () => {
        runs.push("wipe");
        return "wiped";
      },
    }),
  };
}

function inWords(receipt: Receipt): string {
  switch (receipt.kind) {
    case "decision":
      return [
        receipt.decision,
        receipt.tool ?? "?",
        receipt.deny_code,
        receipt.resumes === undefined ? undefined : "again",
      ]
        .filter((word) => word !== undefined)
        .join(" ");
    case "outcome":
      return receipt.status;
    default:
      return receipt.kind;
  }
}
