/** `permittedTools`: offers the model only what the sequence admits now. An economy, not the enforcement. */
import type { ToolSet } from "ai";
import { gatedSet } from "./gate-tools.ts";

/**
 * For `prepareStep`. A tool that is not active the SDK refuses by itself, before the gate: such a call leaves no receipt.
 * Where the gate cannot say, no tool is offered.
 *
 * @throws TypeError for anything but the very object that `gateTools` returned.
 */
export function permittedTools<TOOLS extends ToolSet>(
  tools: TOOLS,
): () => Promise<{ activeTools: (keyof TOOLS & string)[] }> {
  const { point, names } = gatedSet(tools, "permittedTools");
  return async () => {
    const permitted = new Set(await point.permitted());
    const isActive = (name: string): name is keyof TOOLS & string => permitted.has(name);
    return { activeTools: [...names].filter(isActive) };
  };
}
