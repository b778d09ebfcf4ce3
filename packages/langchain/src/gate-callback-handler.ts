/** `GateCallbackHandler`: a tripwire for tool runs that came past every gate. */
import { BaseCallbackHandler } from "@langchain/core/callbacks/base";
import type { Serialized } from "@langchain/core/load/serializable";
import { endRun, watchRun } from "./call-scope.ts";

/** A tool run that ended without a decision of this process. */
export interface Bypass {
  readonly runId: string;
  /** As the run named itself: its caller can choose it, and subclasses of `StructuredTool` have none. */
  readonly runName?: string;
  readonly toolCallId?: string;
}

/**
 * Reports tool runs that ended without a decision of this process. **It blocks nothing**: the tool has run when this
 * hears of it, and what is called as `func` or without this handler in its configuration is never heard of.
 *
 * @throws TypeError without `onBypass`.
 * @example
 * await agent.invoke(input, { callbacks: [new GateCallbackHandler({ onBypass: (run) => alarm(run) })] });
 */
export class GateCallbackHandler extends BaseCallbackHandler {
  readonly name = "GateCallbackHandler";
  readonly onBypass: (bypass: Bypass) => void | Promise<void>;
  readonly #started = new Map<string, Bypass>();

  constructor(options: { readonly onBypass: (bypass: Bypass) => void | Promise<void> }) {
    super();
    if (typeof options?.onBypass !== "function")
      throw new TypeError("GateCallbackHandler: onBypass must be a function");
    this.onBypass = options.onBypass;
    // Awaited, else a run could end before it is watched. Never raised: half of the ways to block from here do not.
    for (const [key, value] of Object.entries({
      raiseError: false,
      awaitHandlers: true,
      ignoreAgent: false,
    })) {
      Object.defineProperty(this, key, { value, writable: false, configurable: false });
    }
  }

  override handleToolStart(
    _tool: Serialized,
    _input: string,
    runId: string,
    _parentRunId?: string,
    _tags?: string[],
    _metadata?: Record<string, unknown>,
    runName?: string,
    toolCallId?: string,
  ): void {
    watchRun(runId);
    this.#started.set(runId, {
      runId,
      ...(runName === undefined ? {} : { runName }),
      ...(toolCallId === undefined ? {} : { toolCallId }),
    });
  }

  override async handleToolEnd(_output: unknown, runId: string): Promise<void> {
    await this.#ended(runId);
  }

  override async handleToolError(_error: unknown, runId: string): Promise<void> {
    await this.#ended(runId);
  }

  async #ended(runId: string): Promise<void> {
    const started = this.#started.get(runId);
    if (started === undefined) return;
    this.#started.delete(runId);
    if (endRun(runId) !== true) await this.onBypass(started);
  }
}
