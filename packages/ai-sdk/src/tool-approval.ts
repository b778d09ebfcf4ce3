/** `toolApproval`: asks the gate where the SDK asks for approval, for the native `execution-denied`, client tools and people. */
import { type Deny, refusal } from "@stepgate/core";
import type { ModelMessage, ToolSet, TypedToolCall } from "ai";
import { reasonOf, unavailable } from "./denial.ts";
import { type GatedSet, gatedSet } from "./gate-tools.ts";
import { type AnyTool, isGated, isToolSearch } from "./gated-tool.ts";
import { validated } from "./tool-context.ts";

/** The only answers: on one that it does not know the SDK executes. */
export type ApprovalStatus =
  | "not-applicable"
  | { readonly type: "denied"; readonly reason: string }
  | { readonly type: "user-approval"; readonly reason?: string };

/** What the SDK tells of a call; contexts of any type fit. */
interface Asked<TOOLS extends ToolSet> {
  readonly toolCall: TypedToolCall<TOOLS>;
  readonly tools: TOOLS | undefined;
  readonly toolsContext: unknown;
  readonly runtimeContext: unknown;
  readonly messages: ModelMessage[];
}

/** For the `toolApproval` of `generateText`, `streamText` and `ToolLoopAgent`. Never rejects. */
export type ToolApproval<TOOLS extends ToolSet> = (asked: Asked<TOOLS>) => Promise<ApprovalStatus>;

/**
 * Decides ahead of `execute` and leaves a one-shot ticket for it, so a call is decided once. A tool's own `needsApproval`
 * is looked at first; a person's yes there is no authority, `execute` asks the gate all the same.
 *
 * @throws TypeError for anything but the very object that `gateTools` returned.
 */
export function toolApproval<TOOLS extends ToolSet>(tools: TOOLS): ToolApproval<TOOLS> {
  const set = gatedSet(tools, "toolApproval");
  return async (asked) => {
    try {
      return await statusOf(set, asked);
    } catch (error) {
      return denied(unavailable(error));
    }
  };
}

async function statusOf<TOOLS extends ToolSet>(
  set: GatedSet,
  asked: Asked<TOOLS>,
): Promise<ApprovalStatus> {
  const { toolName: name, toolCallId, input } = asked.toolCall;
  const tool = offered(asked.tools, name);
  if (tool === undefined || !isGuarded(set, name, tool))
    return denied(refusal("NO_POLICY_MATCH", "This tool is not of the gated set."));
  if (asked.toolCall.providerExecuted === true)
    return denied(refusal("NO_POLICY_MATCH", "No gate stands where this call ran."));
  if (await needsApproval(tool, asked)) return { type: "user-approval" };
  const decision = await set.point.decideAhead(
    { tool: name, toolCallId, input },
    !set.clientTools.has(name),
  );
  if (decision.proceed) return "not-applicable";
  return decision.deny_code === "APPROVAL_REQUIRED"
    ? { type: "user-approval", reason: reasonOf(decision) }
    : denied(decision);
}

/** The tool as the SDK would run it, by its own name only: `constructor` is no tool. */
function offered(tools: ToolSet | undefined, name: string): AnyTool | undefined {
  return tools !== undefined && Object.hasOwn(tools, name) ? tools[name] : undefined;
}

/** True where `execute` enforces, or where nothing here executes: tools that were put beside the set are neither. */
function isGuarded(set: GatedSet, name: string, tool: AnyTool): boolean {
  if (!set.names.has(name)) return false;
  if (set.clientTools.has(name)) return typeof tool.execute !== "function" || isToolSearch(tool);
  return isGated(tool);
}

/** What the SDK would do by itself, if no function stood in its place. */
async function needsApproval<TOOLS extends ToolSet>(
  tool: AnyTool,
  { toolCall, toolsContext, messages }: Asked<TOOLS>,
): Promise<boolean> {
  if (typeof tool.needsApproval !== "function") return Boolean(tool.needsApproval);
  const context = await validated(own(toolsContext, toolCall.toolName), tool.contextSchema);
  const { toolCallId, input } = toolCall;
  return Boolean(await tool.needsApproval(input, { toolCallId, messages, context }));
}

function own(contexts: unknown, name: string): unknown {
  if (typeof contexts !== "object" || contexts === null || !Object.hasOwn(contexts, name))
    return undefined;
  return (contexts as Readonly<Record<string, unknown>>)[name];
}

function denied(deny: Deny): ApprovalStatus {
  return { type: "denied", reason: reasonOf(deny) };
}
