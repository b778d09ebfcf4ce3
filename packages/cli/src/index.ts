/** The public surface of `stepgate`: `openGate`, and everything of the core and of the policy language. */
export * from "@stepgate/core";
export * from "@stepgate/policy";
export { archiveFolder } from "./archive-folder.ts";
export { type OpenedGate, openGate, type OpenGateOptions, type PolicySource } from "./open-gate.ts";
