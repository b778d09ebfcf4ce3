/** The contracts that the tests of core decide by, as documents. */

/** policy.md, Level 0: eight steps, one function each. */
export const LOAN_APPROVAL = {
  schema: "stepgate.policy/1",
  id: "loan-approval",
  version: "2026-02-22.1",
  sequence:
    "intake, disruption, instability, state_read, internal_driver, execution, boundary, settle",
  functions: {
    intake: ["CHECK_STATE", "READ_INPUT"],
    disruption: ["CHECK_STATE"],
    instability: ["CHECK_STATE"],
    state_read: ["CHECK_STATE"],
    internal_driver: ["CHECK_STATE"],
    execution: ["WRITE_DB", "CALL_EXTERNAL_API", "EMIT_EVENT"],
    boundary: ["CHECK_STATE"],
    settle: ["SEAL_SEQUENCE", "WRITE_SUMMARY"],
  },
} as const;

/** Branches, loops, an optional end, functions outside the order, tools of one function and of several, `sealOn`. */
export const RESEARCH = {
  schema: "stepgate.policy/1",
  id: "research",
  version: "1",
  sequence: "intake, (search+ | draft), review{1,2}, (publish | archive)?",
  functions: {
    intake: ["READ_INPUT"],
    search: ["CALL_API", "READ_INPUT"],
    quick_search: { step: "search", actions: ["CALL_API", "WRITE_DB"] },
    draft: ["WRITE_DB", "EMIT"],
    review: ["READ_INPUT", "FINISH"],
    publish: ["EMIT"],
    archive: ["WRITE_DB", "FINISH"],
    lookup: { step: "*", actions: ["READ_INPUT", "FINISH"] },
  },
  tools: {
    get_page: { function: "lookup", action: "READ_INPUT" },
    save: { function: ["draft", "archive"], action: "WRITE_DB", audience: "ledger" },
    fetch: { function: ["search", "quick_search"], action: "CALL_API" },
    announce: { function: ["draft", "publish"], action: "EMIT" },
    finish: { function: ["review", "lookup", "archive"], action: "FINISH" },
  },
  sealOn: ["FINISH"],
  freshness: "90s",
  lifetime: "2h",
} as const;

/** Two steps, short windows; the smallest contract that is interesting. */
export const REFUNDS = {
  schema: "stepgate.policy/1",
  id: "refunds",
  version: "1",
  sequence: "lookup, refund{1,20}, close",
  functions: {
    lookup: ["READ"],
    refund: ["WRITE_DB"],
    close: ["SEAL"],
    note: { step: "*", actions: ["READ"] },
  },
  tools: {
    get_order: { function: "lookup", action: "READ" },
    refund: { function: "refund", action: "WRITE_DB", audience: "ledger" },
    close: { function: "close", action: "SEAL" },
  },
  freshness: "60s",
  lifetime: "1h",
} as const;
