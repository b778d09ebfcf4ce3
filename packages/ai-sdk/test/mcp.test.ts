/** Tools of a real MCP client (`@ai-sdk/mcp`): dynamic, discovered at run time, gated like any other. */
import { createMCPClient, type MCPTransport } from "@ai-sdk/mcp";
import { expect, test } from "vitest";
import { gateTools, toolApproval } from "../src/index.ts";
import { openDesk, RUN } from "./order-desk.ts";
import { scriptedModel, ways } from "./scripted-model.ts";

/** A server in this process that lists two tools and notes every call of them. */
function noteServer(called: string[]): MCPTransport {
  const answer = (method: string, params: Record<string, unknown> | undefined): object => {
    if (method === "initialize") {
      return {
        protocolVersion: params?.["protocolVersion"],
        capabilities: { tools: {} },
        serverInfo: { name: "notes", version: "1" },
      };
    }
    if (method === "tools/list") {
      return {
        tools: ["search", "wipe"].map((name) => ({
          name,
          inputSchema: { type: "object", properties: { text: { type: "string" } } },
        })),
      };
    }
    called.push(`${String(params?.["name"])} ${JSON.stringify(params?.["arguments"])}`);
    return { content: [{ type: "text", text: "two notes" }] };
  };
  const transport: MCPTransport = {
    start: async () => undefined,
    close: async () => undefined,
    send: async (message) => {
      if (!("method" in message) || !("id" in message)) return;
      const result = answer(message.method, message.params as Record<string, unknown> | undefined);
      queueMicrotask(() =>
        transport.onmessage?.({ jsonrpc: "2.0", id: message.id, result } as never),
      );
    },
  };
  return transport;
}

test.each(ways)(
  "an allowed call reaches the server, a denied one does not: %s",
  async (_name, run) => {
    for (const approves of [false, true]) {
      const { gate, chain } = await openDesk();
      const called: string[] = [];
      const client = await createMCPClient({ transport: noteServer(called) });
      const gated = gateTools(await client.tools(), { gate, sequenceId: RUN });
      const calls = ["wipe", "search"].map((name) => ({
        id: name,
        tool: name,
        input: { text: "x" },
      }));
      const { parts } = await run({
        model: scriptedModel(calls),
        tools: gated,
        ...(approves ? { toolApproval: toolApproval(gated) as never } : {}),
      });
      expect(called).toEqual(['search {"text":"x"}']);
      expect(parts.find(({ type }) => type === "tool-result")?.output).toMatchObject({
        content: [{ text: "two notes" }],
      });
      expect(await chain()).toEqual([
        "open",
        "DENY wipe NO_POLICY_MATCH",
        "ALLOW search",
        "succeeded",
      ]);
      await client.close();
    }
  },
);
