/** What an adapter adds to a tool call: the gated call, less the bare call, less the gate's own decision and outcome. */
import { once } from "node:events";
import { Agent, request } from "node:http";
import type { AddressInfo } from "node:net";
import { tool as langchainTool } from "@langchain/core/tools";
import { gateTools } from "@stepgate/ai-sdk";
import { memoryStore } from "@stepgate/core";
import { guard } from "@stepgate/express";
import { gateTool } from "@stepgate/langchain";
import { tool as aiTool } from "ai";
import express from "express";
import { z } from "zod";
import { benchGate } from "./decisions.ts";
import { pairedMedian, type Section, timeVariants, type Variant } from "./measure.ts";

/** Short rounds, many of them: a collection of garbage then falls into few. */
const COUNT = 100;
const ROUNDS = 60;
const BY_HAND = "Express POST, gate.enforce in the handler";
const GUARDED = "Express POST, guard before the handler";
const ENFORCE = "gate.enforce (decide, sign, run, outcome)";
const schema = z.object({ order: z.number() });
const input = { order: 17 };
const work = (): string => "found";
type Invoke = () => Promise<unknown>;

/** Each adapter beside its framework's bare call and beside the gate's own work, done by hand in the same place. */
export async function adapterOverheads(): Promise<Section> {
  const gate = await benchGate(memoryStore());
  let calls = 0;
  const sequence = (): string => `run-${Math.floor(calls++ / 200)}`;
  const http = await httpCalls(gate, sequence);
  const enforce: Invoke = () =>
    gate.enforce({ sequence_id: sequence(), tool: "read_order", args: input }, work);
  const tools: readonly (readonly [name: string, bare: Invoke, gated: Invoke])[] = [
    ["LangChain tool.invoke", ...langchainCalls(gate, sequence)],
    ["AI SDK execute", ...aiSdkCalls(gate, sequence)],
  ];
  const timings = await timeVariants(
    [
      repeat(ENFORCE, enforce),
      ...tools.flatMap(([name, bare, gated]) => [
        repeat(`${name}, bare`, bare),
        repeat(`${name}, gated`, gated),
      ]),
      // In a server the gate's own work costs more than in a loop, so here it is done in a handler.
      repeat(BY_HAND, http.byHand),
      repeat(GUARDED, http.gated),
    ],
    ROUNDS,
  );
  await http.close();
  const ratios = [
    ...tools.map(([name]) => ({
      name: `${name}: added beyond the gate's own work (to be at most 50)`,
      value: pairedMedian(
        timings,
        [`${name}, gated`, `${name}, bare`, ENFORCE],
        (gated, bare, own) => gated - bare - own,
      ),
      unit: "µs" as const,
    })),
    {
      name: "Express guard: added beyond the gate's own work (to be at most 50)",
      value: pairedMedian(timings, [GUARDED, BY_HAND], (gated, own) => gated - own),
      unit: "µs" as const,
    },
  ];
  return { title: "Adapters, on a gate in memory", timings, ratios };
}

function repeat(name: string, invoke: Invoke): Variant {
  return {
    name,
    count: COUNT,
    async run(count) {
      for (let i = 0; i < count; i++) await invoke();
    },
  };
}

function langchainCalls(
  gate: Awaited<ReturnType<typeof benchGate>>,
  sequence: () => string,
): readonly [Invoke, Invoke] {
  const bare = langchainTool(work, { name: "read_order", description: "Reads an order.", schema });
  const gated = gateTool(bare, { gate, sequenceId: sequence });
  let id = 0;
  const call = (): { name: string; args: typeof input; id: string; type: "tool_call" } => ({
    name: "read_order",
    args: input,
    id: `langchain-${id++}`,
    type: "tool_call",
  });
  return [() => bare.invoke(call()), () => gated.invoke(call())];
}

function aiSdkCalls(
  gate: Awaited<ReturnType<typeof benchGate>>,
  sequence: () => string,
): readonly [Invoke, Invoke] {
  const bare = {
    read_order: aiTool({
      description: "Reads an order.",
      inputSchema: schema,
      execute: async () => work(),
    }),
  };
  const gated = gateTools(bare, { gate, sequenceId: sequence });
  let id = 0;
  const options = (): { toolCallId: string; messages: []; context: never } => ({
    toolCallId: `ai-sdk-${id++}`,
    messages: [],
    context: undefined as never,
  });
  const run = async (tools: typeof bare): Promise<unknown> =>
    tools.read_order.execute?.(input, options());
  return [() => run(bare), () => run(gated)];
}

async function httpCalls(
  gate: Awaited<ReturnType<typeof benchGate>>,
  sequence: () => string,
): Promise<{ readonly byHand: Invoke; readonly gated: Invoke; close(): Promise<void> }> {
  const app = express();
  const guarded = guard({
    gate,
    tool: "read_order",
    sequenceId: sequence,
    args: (req) => req.body,
  });
  app.post("/by-hand", express.json(), async (req, res) => {
    const call = { sequence_id: sequence(), tool: "read_order", args: req.body };
    res.json(await gate.enforce(call, work));
  });
  app.post("/gated", express.json(), guarded, (_req, res) => void res.json(work()));
  const server = app.listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  const agent = new Agent({ keepAlive: true, maxSockets: 1 });
  const post = (path: string): Promise<void> =>
    new Promise((resolve, reject) => {
      const headers = { "content-type": "application/json" };
      const sent = request(
        { port, host: "127.0.0.1", path, method: "POST", agent, headers },
        (answer) => {
          answer
            .resume()
            .on("end", () =>
              answer.statusCode === 200
                ? resolve()
                : reject(new Error(`status ${answer.statusCode}`)),
            );
        },
      );
      sent.on("error", reject).end(JSON.stringify(input));
    });
  return {
    byHand: () => post("/by-hand"),
    gated: () => post("/gated"),
    async close() {
      agent.destroy();
      server.close();
      await once(server, "close");
    },
  };
}
