/** The public surface of `@stepgate/ai-sdk`: the gate inside the Vercel AI SDK's own tool call. */
export { denialOf } from "./denial.ts";
export { gateMiddleware } from "./gate-middleware.ts";
export { gateTools } from "./gate-tools.ts";
export type { GatedCall, GateToolsOptions, RequiredApproval } from "./options.ts";
export { permittedTools } from "./permitted-tools.ts";
export { type ApprovalStatus, type ToolApproval, toolApproval } from "./tool-approval.ts";
