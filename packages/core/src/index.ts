/** The public surface of `@stepgate/core`: decides, enforces, proves. */
export {
  type ActionInput,
  type ActionRequest,
  type CallForm,
  isIdentifier,
  isNonce,
} from "./action-request.ts";
export { isDecision, refusal, toNonce, vouch } from "./adapter.ts";
export {
  canonicalCopy,
  canonicalize,
  type Json,
  JsonError,
  type JsonLimits,
  type JsonObject,
} from "./canonical-json.ts";
export {
  createSimulation,
  type SimulatedDecision,
  type SimulatedSequence,
  type Simulation,
} from "./simulation.ts";
export { type ConditionReport, reportConditions, type ReportGrounds } from "./condition-report.ts";
export {
  createReplay,
  disclosesArguments,
  type Replay,
  type ReplayAnswer,
  type ReplayedCall,
  type ReplayGiven,
} from "./replay.ts";
export { parseStrictJson } from "./strict-json.ts";
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
export {
  type Allow,
  type Decision,
  type Deny,
  DENY_CODES,
  type DenyCode,
  type Earlier,
  httpStatus,
} from "./decision.ts";
export {
  type Action,
  currentPermit,
  type Decider,
  enforce,
  type EnforceOptions,
  perform,
  performStream,
  type Stream,
} from "./enforce.ts";
export type { Grounds } from "./conditions.ts";
export {
  decide,
  type DecisionInput,
  type DecisionTime,
  type Refusal,
  type Verdict as DecisionVerdict,
} from "./decide.ts";
export { applyReceipt, openState, type SequenceState } from "./sequence-state.ts";
export { DeniedError, GateError, type GateErrorCode } from "./errors.ts";
export { createGate, type LocalGate } from "./local-gate.ts";
export type { GateParts } from "./gate-parts.ts";
export type { Successor } from "./gate-key.ts";
export { memoryStore } from "./memory-store.ts";
export type { Agent, Context, Gate, Opening, OutcomeNote, SequenceStatus } from "./gate.ts";
export {
  exportKeySet,
  importKeySet,
  type KeySet,
  type PublicJwk,
  type TrustedKey,
} from "./key-set.ts";
export type { PublishedSigner, Signer } from "./signer.ts";
export { generateSigningKey, type SigningKey, signingKey } from "./signing-key.ts";
export {
  type ApprovalReceipt,
  type ContextReceipt,
  type DecisionReceipt,
  type KeyReceipt,
  LOG_CHAIN,
  type Mode,
  type OpenReceipt,
  type OutcomeReceipt,
  type OutcomeStatus,
  type PolicyReceipt,
  type Receipt,
  receiptLine,
  recordHash,
  type SealReceipt,
} from "./receipt.ts";
export {
  type Append,
  type AppendResult,
  type CounterStep,
  FORGOTTEN_AFTER_MS,
  type Indexing,
  type Leaf,
  type LogEnd,
  type NodePlace,
  type OpenAllow,
  type PlacedRecord,
  repeatsNonce,
  type Store,
  type StoredDocument,
  type TreeNode,
  type Unindexed,
} from "./store.ts";
export { mustBeIndexing, mustBeStorable, mustBeText } from "./storable.ts";
export type { StoreFinding } from "./store-check.ts";
export { type Checkpoint, readCheckpoint, type TreeHead } from "./checkpoint.ts";
export { checkpointLog, proveConsistency, proveRecord } from "./checkpoint-log.ts";
export {
  type Archive,
  type ArchiveHead,
  archiveLog,
  type ArchiveSegment,
  type Archiving,
} from "./archive.ts";
export { type InclusionProof, parseProof, verifyProof } from "./inclusion-proof.ts";
export { isConsistent, type TreeHash } from "./merkle.ts";
export type { NoteSigner } from "./signed-note.ts";
export type { CheckpointReport, KeptCheckpoint } from "./verify-log.ts";
export { type Fault, type Finding, FINDING_CODES, type FindingCode } from "./finding.ts";
export {
  createVerifier,
  type ReportCallbacks,
  type VerificationReport,
  type Verifier,
  verifyFile,
  verifyReceipts,
} from "./verify.ts";
export type { SequenceReport, Summary, Verdict, VerifyOptions } from "./verify-lines.ts";
export type { ChainSpill } from "./verify-chains.ts";
export type { Approval, ApprovalStatement } from "./approval.ts";
export { signApproval } from "./approving.ts";
export { type ApprovalRequest, neededApproval } from "./approval-request.ts";
export { argsDigest } from "./digest.ts";
export { type DerivedKeys, deriveKeys } from "./derived-keys.ts";
export { movedCounters } from "./counters.ts";
export { isDecimal, toDecimal } from "./decimal.ts";
export type { PolicyStatus } from "./policy-book.ts";
export { warn } from "./warning.ts";
