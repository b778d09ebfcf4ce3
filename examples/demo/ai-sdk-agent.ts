/** A Vercel AI SDK agent of the loan desk. Its model is the SDK's own test model, with a script; the rest is real. */
import type { LanguageModelV4GenerateResult } from "@ai-sdk/provider";
import { gateTools, toolApproval } from "@stepgate/ai-sdk";
import { generateText, isStepCount, tool, type ToolSet } from "ai";
import { MockLanguageModelV4 } from "ai/test";
import type { Gate } from "stepgate";
import {
  type DeskTool,
  descriptions,
  loanInput,
  type ScriptedCall,
  scriptCalls,
  work,
} from "./loan-desk.ts";

/** Lets the agent call these tools one after another, in the run `run`. */
export async function runAiSdkAgent(
  gate: Gate,
  run: string,
  script: readonly (readonly [tool: DeskTool, amount?: number])[],
): Promise<void> {
  const ungated: ToolSet = Object.fromEntries(
    (Object.keys(descriptions) as DeskTool[]).map((name) => [
      name,
      tool({
        description: descriptions[name],
        inputSchema: loanInput,
        execute: (input) => work(name, input),
      }),
    ]),
  );
  const tools = gateTools(ungated, { gate, sequenceId: run });
  await generateText({
    model: scripted(scriptCalls(run, script)),
    prompt: `Please handle ${run}.`,
    tools,
    toolApproval: toolApproval(tools),
    stopWhen: isStepCount(script.length + 1),
  });
}

function scripted(calls: readonly ScriptedCall[]): MockLanguageModelV4 {
  let turn = 0;
  return new MockLanguageModelV4({
    doGenerate: async (): Promise<LanguageModelV4GenerateResult> => answer(calls[turn++]),
  });
}

function answer(call: ScriptedCall | undefined): LanguageModelV4GenerateResult {
  const usage = {
    inputTokens: { total: 1, noCache: 1, cacheRead: 0, cacheWrite: 0 },
    outputTokens: { total: 1, text: 1, reasoning: 0 },
  };
  if (call === undefined) {
    const finishReason = { unified: "stop", raw: "stop" } as const;
    return { content: [{ type: "text", text: "Done." }], finishReason, usage, warnings: [] };
  }
  const { id, name, args } = call;
  const toolCall = {
    type: "tool-call",
    toolCallId: id,
    toolName: name,
    input: JSON.stringify(args),
  } as const;
  const finishReason = { unified: "tool-calls", raw: "tool_calls" } as const;
  return { content: [toolCall], finishReason, usage, warnings: [] };
}
