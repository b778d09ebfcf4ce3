/** The public surface of `@stepgate/langchain`: the gate inside LangChain's own tool call. */
export type { ApprovalInterrupt } from "./asking-people.ts";
export { type Bypass, GateCallbackHandler } from "./gate-callback-handler.ts";
export { gateMiddleware } from "./gate-middleware.ts";
export type {
  CallInfo,
  GateMiddlewareOptions,
  GateToolOptions,
  TrustInput,
} from "./gate-options.ts";
export { gateTool, gateTools } from "./gate-tool.ts";
