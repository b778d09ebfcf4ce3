/** The policy that `stepgate init` writes, and a run that it allows. */

/** A loan in four steps, with a comment for whatever one might want to change. */
export const EXAMPLE_POLICY = `# What the agent may do, in which order, through which tools. The agent never sees this file, chooses it or changes it.
schema: stepgate.policy/1
id: loan
version: "1"                     # a label for people; receipts carry the digest of the contract itself

# The steps and their order. Also: a | b (either), review? (or not), attempt{1,3}, (…), *, +.
# An order that ends in a step without repetition seals the sequence there: nothing is allowed after it.
sequence: intake, review?, decision, settle

# Each function belongs to the step of its name, and permits these action types and no others.
functions:
  lookup: { step: "*", actions: [READ] }   # outside the order: allowed at any time until the seal
  intake: [READ_INPUT]
  review: [REQUEST_REVIEW]
  decision: [WRITE_DB]
  settle: [WRITE_SUMMARY]

# What each tool of the agent stands for: the gate decides this, never the model. A tool that is not listed is denied.
tools:
  get_rates: { function: lookup, action: READ }
  get_application: { function: intake, action: READ_INPUT }
  ask_reviewer: { function: review, action: REQUEST_REVIEW }
  record_decision: { function: decision, action: WRITE_DB }
  write_summary: { function: settle, action: WRITE_SUMMARY }

freshness: 300s                  # how far a request's clock may be from the gate's
lifetime: 24h                    # how long a sequence may live

# Played whenever a gate opens; one that fails, and the policy is not used.
tests:
  - name: a whole run is allowed, and nothing after it
    calls:
      - { tool: get_application, args: { application: a-1 }, expect: ALLOW }
      - { tool: get_rates, expect: ALLOW }
      - { tool: record_decision, args: { application: a-1, approved: true }, expect: ALLOW }
      - { tool: write_summary, args: { application: a-1 }, expect: ALLOW }
      - { tool: get_rates, expect: SEALED_SEQUENCE }
  - name: a decision before the application was read is refused
    calls:
      - { tool: record_decision, args: { application: a-1, approved: true }, expect: SEQUENCE_VIOLATION }
  - name: a tool that nobody listed is refused
    calls:
      - { tool: transfer_funds, args: { amount: 1000 }, expect: NO_POLICY_MATCH }
`;

/** One run from its first step to its seal. */
export const EXAMPLE_REQUESTS: readonly object[] = [
  { sequence_id: "loan-1", tool: "get_application", args: { application: "a-1" } },
  { sequence_id: "loan-1", tool: "get_rates" },
  { sequence_id: "loan-1", tool: "ask_reviewer", args: { application: "a-1" } },
  { sequence_id: "loan-1", tool: "record_decision", args: { application: "a-1", approved: true } },
  { sequence_id: "loan-1", tool: "write_summary", args: { application: "a-1" } },
];
