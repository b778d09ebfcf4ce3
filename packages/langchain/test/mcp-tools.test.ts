/** Tools that an MCP server offers, as LangChain's adapter loads them: gated like any other. */
import { loadMcpTools } from "@langchain/mcp-adapters";
import { Client } from "@modelcontextprotocol/sdk/client/index.js";
import { InMemoryTransport } from "@modelcontextprotocol/sdk/inMemory.js";
import { McpServer } from "@modelcontextprotocol/sdk/server/mcp.js";
import { createAgent } from "langchain";
import { expect, test } from "vitest";
import { z } from "zod";
import { gateMiddleware, gateTools } from "../src/index.ts";
import { call, openDesk, scripted, thread } from "./refund-desk.ts";

/** A real server with `read` and `refund`, behind a real client. */
async function connected() {
  const served: string[] = [];
  const server = new McpServer({ name: "orders", version: "1" });
  for (const name of ["read", "refund"]) {
    server.registerTool(
      name,
      { description: name, inputSchema: { order: z.number() } },
      ({ order }) => {
        served.push(`${name} ${order}`);
        return { content: [{ type: "text", text: `${name} done` }] };
      },
    );
  }
  const client = new Client({ name: "test", version: "1" });
  const [near, far] = InMemoryTransport.createLinkedPair();
  await Promise.all([server.connect(far), client.connect(near)]);
  return { served, client, tools: await loadMcpTools("orders", client as never) };
}

test.each(["by gateTools", "by the middleware"])(
  "%s an MCP tool is served on ALLOW and not on DENY",
  async (way) => {
    const desk = await openDesk();
    const { served, tools } = await connected();
    const agent = createAgent({
      model: scripted([call("read", "c1"), call("refund", "c2")]),
      tools: way === "by gateTools" ? gateTools(tools, { gate: desk.gate }) : tools,
      middleware: way === "by gateTools" ? [] : [gateMiddleware({ gate: desk.gate })],
    });
    const { messages } = await agent.invoke({ messages: "go" }, thread("s"));
    expect(served).toEqual(["read 17"]);
    expect(messages.map((message) => message.text)).toContain("read done");
    expect(messages.map((message) => message.text).join()).toContain("DENIED SEQUENCE_VIOLATION");
    expect((await desk.chain("s")).toSorted()).toEqual([
      "ALLOW read",
      "DENY refund SEQUENCE_VIOLATION",
      "open",
      "succeeded",
    ]);
  },
);

test("the raw client is past every tool, and so past the gate: give agents no client", async () => {
  const desk = await openDesk();
  const { served, client, tools } = await connected();
  gateTools(tools, { gate: desk.gate, harden: true });
  await client.callTool({ name: "refund", arguments: { order: 17 } });
  expect(served).toEqual(["refund 17"]);
  expect(await desk.chain("s")).toEqual([]);
});
