/** A LangChain agent of the loan desk. Its model is LangChain's own test model, with a script; the rest is real. */
import { MemorySaver } from "@langchain/langgraph";
import { gateMiddleware, gateTools } from "@stepgate/langchain";
import { createAgent, FakeToolCallingModel, tool } from "langchain";
import type { Gate } from "stepgate";
import { type DeskTool, descriptions, loanInput, scriptCalls, work } from "./loan-desk.ts";

/** Lets the agent call these tools one after another, in the run `thread`. */
export async function runLangChainAgent(
  gate: Gate,
  thread: string,
  script: readonly (readonly [tool: DeskTool, amount?: number])[],
): Promise<void> {
  const tools = (Object.keys(descriptions) as DeskTool[]).map((name) =>
    tool((input) => work(name, input), {
      name,
      description: descriptions[name],
      schema: loanInput,
    }),
  );
  const model = new FakeToolCallingModel({
    toolCalls: [...scriptCalls(thread, script).map((call) => [{ ...call }]), []],
  });
  const agent = createAgent({
    model,
    tools: gateTools(tools, { gate }),
    middleware: [gateMiddleware({ gate })],
    checkpointer: new MemorySaver(),
  });
  await agent.invoke(
    { messages: [{ role: "user", content: `Please handle ${thread}.` }] },
    { configurable: { thread_id: thread }, recursionLimit: 100 },
  );
}
