/** The example of policy.md, Level 2, word for word. */

/** The text of the policy. */
export const PAYMENTS: string = String.raw`schema: stepgate.policy/1
id: payments
version: "3"
sequence: intake, review?, execution{1,3}, settle
functions:
  lookup: { step: "*", actions: [READ_INPUT] }
  intake: [CHECK_STATE]
  review: [REQUEST_REVIEW]
  execution: [WRITE_DB, CALL_EXTERNAL_API]
  settle: [SEAL_SEQUENCE]
tools:                           # what each tool of the host stands for: the gate decides this, never the model
  get_application: { function: lookup, action: READ_INPUT }
  transfer_funds:
    function: execution          # or a list: the first that passes checks 4 to 6; if none, the first
    action: WRITE_DB
    audience: ledger             # which resource server may redeem the permit
    args:                        # JSON Schema 2020-12
      type: object
      required: [amount, currency, to, application_id]
      properties:
        amount: { type: number, exclusiveMinimum: 0 }
        currency: { enum: [EUR, USD] }
        to: { type: string }
        application_id: { type: string }
      additionalProperties: false
    when: args.amount <= 10000.0 || agent_id == "treasury"                # CEL; must evaluate to exactly true
    grounded: { to: [context.request, context.payees, ["GB29NWBK60161331926819"]] }   # the value must occur in one of these
    ungrounded: [amount, currency, application_id]
    bind: { application: args.application_id }                            # every call that binds this name carries the same value
    limits: { sum: { of: args.amount, max: 50000 }, calls: { max: 20, per: agent, window: 24h } }
    approval: { when: args.amount >= 500.0, count: 1, by: [finance] }     # a person's signed approval of this very call
constraints:                     # beside the order; each is a small automaton over ALLOWs
  - precedence: [intake, lookup]                               # the second only after the first
  - never: [{ action: CALL_EXTERNAL_API }, { action: WRITE_DB }]   # once the first was allowed, the second no more
forbid:                          # wins over everything; all selectors given in an item must match
  - { tools: [transfer_funds], agents: ["bot-*"] }
agents:                          # may only narrow; widening is a load error. Functions not listed keep their list, [] forbids
  "bot-*": { functions: { execution: [CALL_EXTERNAL_API] } }
  "*": {}
sealOn: [SEAL_SEQUENCE]
freshness: 300s
lifetime: 24h
tests:
  - name: a payment before intake is refused
    agent_id: treasury
    calls: [{ tool: transfer_funds, args: { amount: 1, currency: EUR, to: x, application_id: a1 }, expect: SEQUENCE_VIOLATION }]
`;
