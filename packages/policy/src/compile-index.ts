/**
 * The public surface of `@stepgate/policy/compile`: policy text to a compiled policy, for pages, workers and Node alike. The
 * same code as that of `@stepgate/policy`; it needs nothing that a browser lacks. JSON Schemas are compiled by `new Function`.
 */
export type { CompiledPolicy } from "@stepgate/core/compiler";
export type { PolicyDocument } from "./policy-document.ts";
export {
  checkPolicy,
  compilePolicy,
  parsePolicy,
  type ParseOptions,
  type PolicyCheck,
} from "./parse-policy.ts";
export { formatIssue, PolicyError, type PolicyIssue, type PolicyWarning } from "./policy-error.ts";
