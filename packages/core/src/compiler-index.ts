/**
 * The public surface of `@stepgate/core/compiler`: what a compiler of policies takes from core, and nothing that a browser
 * lacks. The same code as that of `@stepgate/core`.
 */
export {
  canonicalCopy,
  canonicalize,
  type Json,
  JsonError,
  type JsonLimits,
  type JsonObject,
} from "./canonical-json.ts";
export type {
  Automaton,
  CallSelector,
  CompiledAgents,
  CompiledConditions,
  CompiledConstraint,
  CompiledForbid,
  CompiledFunction,
  CompiledLimit,
  CompiledPolicy,
  CompiledTool,
  Condition,
  Scope,
} from "./compiled-policy.ts";
export { toDecimal } from "./decimal.ts";
export { DENY_CODES, type DenyCode } from "./decision.ts";
export { GateError, type GateErrorCode } from "./errors.ts";
export { parseStrictJson } from "./strict-json.ts";
export { sha256Hex } from "#platform";
