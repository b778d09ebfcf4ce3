/** A scripted model over the SDK's own test model, and the four ways in which the SDK runs an agent. */
import type {
  LanguageModelV4CallOptions,
  LanguageModelV4Content,
  LanguageModelV4StreamPart,
} from "@ai-sdk/provider";
import {
  generateText,
  isStepCount,
  type ModelMessage,
  streamText,
  type ToolApprovalConfiguration,
  ToolLoopAgent,
  type ToolSet,
} from "ai";
import { MockLanguageModelV4 } from "ai/test";

/** One tool call that the model makes. */
interface ScriptedCall {
  readonly id: string;
  readonly tool: string;
  readonly input: unknown;
  readonly providerExecuted?: boolean;
}

/** What the model says in one turn: text, tool calls, or raw content. */
export type Turn =
  | string
  | readonly ScriptedCall[]
  | { readonly raw: readonly LanguageModelV4Content[] };

/** Content parts of all steps, as far as tests read them. */
interface RunPart {
  readonly type: string;
  readonly toolName?: string;
  readonly output?: unknown;
  readonly error?: unknown;
  readonly [member: string]: unknown;
}

/** What a run gave. */
interface Ran {
  readonly text: string;
  readonly parts: readonly RunPart[];
  readonly responseMessages: readonly ModelMessage[];
}

/** Settings that all four ways take. */
interface RunSettings {
  readonly model: MockLanguageModelV4;
  readonly tools: ToolSet;
  readonly toolApproval?: ToolApprovalConfiguration<ToolSet, Record<string, unknown>>;
  readonly messages?: ModelMessage[];
  readonly abortSignal?: AbortSignal;
}

/** One way of running. */
export type Way = (settings: RunSettings) => Promise<Ran>;

const usage = {
  inputTokens: { total: 1, noCache: 1, cacheRead: undefined, cacheWrite: undefined },
  outputTokens: { total: 1, text: 1, reasoning: undefined },
};

/** A model that says these turns, one a call, and then stops with `done`. */
export function scriptedModel(...turns: readonly Turn[]): MockLanguageModelV4 {
  let turn = 0;
  const next = (): readonly LanguageModelV4Content[] => contentOf(turns[turn++] ?? "done");
  return new MockLanguageModelV4({
    doGenerate: async () => {
      const content = next();
      return { content: [...content], finishReason: finishOf(content), usage, warnings: [] };
    },
    doStream: async () => ({ stream: ReadableStream.from(streamed(next())) }),
  });
}

/** What the model was told of its tools' results, in all its calls. */
export function toldTheModel(model: MockLanguageModelV4): string {
  const calls: readonly LanguageModelV4CallOptions[] = [
    ...model.doGenerateCalls,
    ...model.doStreamCalls,
  ];
  return JSON.stringify(calls.map(({ prompt }) => prompt));
}

/** `generateText`, `streamText`, and both ways of `ToolLoopAgent`. */
export const ways: readonly (readonly [name: string, way: Way])[] = [
  ["generateText", async (settings) => ran(await generateText(withDefaults(settings)))],
  [
    "streamText",
    async (settings) =>
      ranStream(streamText({ ...withDefaults(settings), onError: () => undefined })),
  ],
  [
    "ToolLoopAgent.generate",
    async ({ messages, abortSignal, ...made }) =>
      ran(await agentOf(made).generate(prompted(messages, abortSignal))),
  ],
  [
    "ToolLoopAgent.stream",
    async ({ messages, abortSignal, ...made }) =>
      ranStream(await agentOf(made).stream(prompted(messages, abortSignal))),
  ],
];

/** The first way, where a test needs only one. */
export const generate: Way = async (settings) => ran(await generateText(withDefaults(settings)));

/** The history that a browser sends after a person has answered the pending approval. */
export function answered(messages: readonly ModelMessage[], approved: boolean): ModelMessage[] {
  const parts = messages.flatMap(({ role, content }) =>
    role === "assistant" && typeof content !== "string" ? content : [],
  );
  const request = parts.find((part) => part.type === "tool-approval-request");
  if (request === undefined) throw new Error("no approval was asked for");
  return [
    { role: "user", content: "go" },
    ...messages,
    {
      role: "tool",
      content: [{ type: "tool-approval-response", approvalId: request.approvalId, approved }],
    },
  ];
}

function contentOf(turn: Turn): readonly LanguageModelV4Content[] {
  if (typeof turn === "string") return [{ type: "text", text: turn }];
  if ("raw" in turn) return turn.raw;
  return turn.map(({ id, tool, input, providerExecuted }) => ({
    type: "tool-call",
    toolCallId: id,
    toolName: tool,
    input: JSON.stringify(input),
    ...(providerExecuted === undefined ? {} : { providerExecuted }),
  }));
}

function finishOf(content: readonly LanguageModelV4Content[]): {
  unified: "tool-calls" | "stop";
  raw: undefined;
} {
  return {
    unified: content.some(({ type }) => type === "tool-call") ? "tool-calls" : "stop",
    raw: undefined,
  };
}

function* streamed(
  content: readonly LanguageModelV4Content[],
): Generator<LanguageModelV4StreamPart> {
  for (const part of content) {
    if (part.type !== "text") {
      // Content of a model that is no text or reasoning is a part of its stream as it stands.
      yield part as LanguageModelV4StreamPart;
      continue;
    }
    yield { type: "text-start", id: "t" };
    yield { type: "text-delta", id: "t", delta: part.text };
    yield { type: "text-end", id: "t" };
  }
  yield { type: "finish", finishReason: finishOf(content), usage };
}

type Prompted = { messages: ModelMessage[]; abortSignal?: AbortSignal };

function prompted(
  messages: ModelMessage[] = [{ role: "user", content: "go" }],
  abortSignal?: AbortSignal,
): Prompted {
  return { messages, ...(abortSignal === undefined ? {} : { abortSignal }) };
}

function withDefaults({
  messages,
  abortSignal,
  ...settings
}: RunSettings): Omit<RunSettings, "messages"> &
  Prompted & { stopWhen: ReturnType<typeof isStepCount> } {
  return { ...settings, ...prompted(messages, abortSignal), stopWhen: isStepCount(10) };
}

function agentOf(
  settings: Omit<RunSettings, "messages" | "abortSignal">,
): ToolLoopAgent<never, ToolSet> {
  return new ToolLoopAgent({ ...settings, stopWhen: isStepCount(10) });
}

function ran(result: {
  text: string;
  steps: readonly { content: readonly unknown[] }[];
  responseMessages: readonly ModelMessage[];
}): Ran {
  return {
    text: result.text,
    parts: result.steps.flatMap(({ content }) => content as readonly RunPart[]),
    responseMessages: result.responseMessages,
  };
}

async function ranStream(result: {
  consumeStream(): PromiseLike<void>;
  text: PromiseLike<string>;
  steps: PromiseLike<readonly { content: readonly unknown[] }[]>;
  responseMessages: PromiseLike<readonly ModelMessage[]>;
}): Promise<Ran> {
  await result.consumeStream();
  return ran({
    text: await result.text,
    steps: await result.steps,
    responseMessages: await result.responseMessages,
  });
}
