/**
 * The public surface of `@stepgate/core/verify`: what an auditor needs, and nothing that a browser lacks. The same code as
 * the verifier of `@stepgate/core`; every question of a signature is answered asynchronously.
 */
export type { Checkpoint, TreeHead } from "./checkpoint.ts";
export type { CompiledPolicy } from "./compiled-policy.ts";
export { canonicalize, type Json, JsonError, type JsonObject } from "./canonical-json.ts";
export { argsDigest } from "./digest.ts";
export { GateError, type GateErrorCode } from "./errors.ts";
export { type Finding, FINDING_CODES, type FindingCode } from "./finding.ts";
export { importKeySet, type KeySet, type PublicJwk, type TrustedKey } from "./key-set.ts";
export { LOG_CHAIN, type Receipt, receiptLine, recordHash } from "./receipt.ts";
export type { ReportCallbacks, VerificationReport } from "./verify.ts";
export type { ChainSpill } from "./verify-chains.ts";
export {
  type ByteStream,
  readCheckpoint,
  verifyFile,
  verifyProof,
  verifyReceipts,
} from "./verify-later.ts";
export type { SequenceReport, Summary, Verdict, VerifyOptions } from "./verify-lines.ts";
export type { CheckpointReport, KeptCheckpoint } from "./verify-log.ts";
