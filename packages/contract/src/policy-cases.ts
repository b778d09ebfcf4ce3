/** Receipts with the policies that they were decided under: sound, forged by whoever has the gate's key, and under other policies. */
import { createGate, memoryStore } from "@stepgate/core";
import { parsePolicy } from "@stepgate/policy";
import { bytesOf, type Draft, parsed, signedLine } from "./mutant.ts";
import {
  GATE_KEY,
  SOUND_KEYS,
  SOUND_POLICY,
  SOUND_SECRETS,
  soundReceipts,
} from "./sound-receipts.ts";
import { testRandom, testSecret } from "./test-keys.ts";
import type { VerificationCase } from "./verification-case.ts";
import { fileCase, vectorCases } from "./verification-cases.ts";

/** The policy of `sound.jsonl`, Level 2: CEL, a JSON Schema, grounding, a binding, a limit, approvals. */
export const LEVEL_TWO: string = JSON.stringify(SOUND_POLICY);

/** Level 0 and 1: the order, constraints beside it, what is forbidden, and what is left to agents. */
export const LEVEL_ONE = `
schema: stepgate.policy/1
id: desk
version: "1"
sequence: look{1,2}, (draft | ask)?, send, close
functions:
  look: [READ_INPUT, CHECK_STATE]
  search: { step: "*", actions: [READ_INPUT] }
  draft: [WRITE_DB]
  ask: [REQUEST_REVIEW]
  send: [CALL_EXTERNAL_API]
  close: [SEAL_SEQUENCE]
tools:
  read_mail: { function: look, action: READ_INPUT }
constraints:
  - precedence: [search, send]
  - never: [{ function: ask }, { action: CALL_EXTERNAL_API }]
forbid:
  - { functions: [draft], agents: ["bot-*"] }
agents:
  "bot-*": { functions: { look: [READ_INPUT] } }
  "desk": {}
sealOn: [SEAL_SEQUENCE]
`;

/** All of them; a forger's changes are made to one in `every` of the decisions. */
export async function policyCases(every: number): Promise<readonly VerificationCase[]> {
  const two = await soundReceipts(4);
  const one = await deskReceipts();
  const trust = { keys: SOUND_KEYS, secrets: SOUND_SECRETS };
  const other = LEVEL_ONE.replace("look{1,2}", "look{1,3}");
  const under = (
    name: string,
    lines: readonly string[],
    ...policies: readonly string[]
  ): VerificationCase => ({ ...fileCase(name, bytesOf(lines), trust), policies });
  return [
    ...vectorCases().map((vector) => ({ ...vector, policies: [LEVEL_TWO] })),
    under("Level 1", one, LEVEL_ONE),
    under("Level 2", two.lines, LEVEL_TWO),
    under("both in one file", [...two.lines, ...one], LEVEL_TWO, LEVEL_ONE),
    under("under another policy", one, LEVEL_TWO),
    under("under another version of it", one, other),
    under("under its first policy of two", one, LEVEL_ONE, other),
    under("under an empty list of policies", one),
    under("under what is no policy", one, LEVEL_ONE.replace("send, close", "sned, close")),
    ...forgeries(one, every).map(([name, lines]) => under(name, lines, LEVEL_ONE)),
    ...forgeries(two.lines, every).map(([name, lines]) => under(name, lines, LEVEL_TWO)),
  ];
}

/** Runs that try everything in every order, by agents to whom different things are left. */
async function deskReceipts(): Promise<readonly string[]> {
  const store = memoryStore();
  const gate = await createGate({
    store,
    signer: GATE_KEY,
    policies: [parsePolicy(LEVEL_ONE)],
    saltKey: testSecret("salt"),
    logId: "desk",
    clock: () => AT_MS,
    random: testRandom("desk"),
  });
  for (const [index, run] of RUNS.entries()) {
    const who = { sequence_id: `desk-${index}`, agent_id: AGENTS[index % 3] ?? "" };
    await gate.open(who);
    for (const [at, [name, action_type]] of run.entries()) {
      const form = action_type === undefined ? { tool: name } : { function: name, action_type };
      await gate.decide({ ...who, nonce: `call ${at}`, ts_ms: AT_MS, args: {}, ...form });
    }
  }
  return Array.fromAsync(store.lines());
}

const AT_MS = 1_790_000_000_000;

const AGENTS = ["desk", "bot-7", "nobody"];
type Call = readonly [functionOrTool: string, action?: string];
const [LOOK, SEARCH, DRAFT, ASK, SEND, CLOSE]: readonly Call[] = [
  ["look", "CHECK_STATE"],
  ["search", "READ_INPUT"],
  ["draft", "WRITE_DB"],
  ["ask", "REQUEST_REVIEW"],
  ["send", "CALL_EXTERNAL_API"],
  ["close", "SEAL_SEQUENCE"],
] as const;
const STRANGE: readonly Call[] = [["absent", "READ_INPUT"], ["read_mail"], ["send_mail"]];
const ALL: readonly Call[] = [...STRANGE, LOOK, SEARCH, DRAFT, ASK, SEND, CLOSE];
const PLANS: readonly (readonly Call[])[] = [
  [LOOK, SEARCH, SEND, CLOSE, SEND],
  [["read_mail"], LOOK, LOOK, DRAFT, SEND, SEARCH, SEND, CLOSE],
  [LOOK, ASK, SEARCH, SEND, CLOSE],
  ALL,
  ALL.toReversed(),
];
const RUNS: readonly (readonly Call[])[] = PLANS.flatMap((plan) => [plan, plan, plan]);

/** A sequence with one decision changed and signed anew, all else as it was. */
function forgeries(
  lines: readonly string[],
  every: number,
): readonly (readonly [name: string, lines: readonly string[]])[] {
  const decisions = [...lines.entries()].filter(([, line]) => parsed(line)["kind"] === "decision");
  return decisions
    .filter((_, nth) => nth % every === 0)
    .flatMap(([at, line]) => {
      const record = parsed(line);
      const around = lines.filter((other) =>
        ["@log", record["sequence_id"]].includes(parsed(other)["sequence_id"]),
      );
      return changes(record).map(([what, change]): readonly [string, readonly string[]] => [
        `line ${at + 1}: ${what}`,
        around.with(around.indexOf(line), signedLine({ ...record, ...change })),
      ]);
    });
}

function changes(decision: Draft): readonly (readonly [what: string, change: Draft])[] {
  const code =
    decision["deny_code"] === "SEQUENCE_VIOLATION" ? "ACTION_NOT_ALLOWED" : "SEQUENCE_VIOLATION";
  const denied = { decision: "DENY", deny_code: code, rule: decision["rule"] ?? "sequence" };
  const none = { permit_expires_ms: undefined, effects: undefined, sealed: undefined };
  const permit_expires_ms = Number(decision["ts_ms"]) + 60_000;
  const allowed = { decision: "ALLOW", deny_code: undefined, rule: undefined, permit_expires_ms };
  return [
    decision["decision"] === "ALLOW"
      ? ["a denial that the policy does not give", { ...denied, ...none }]
      : ["an ALLOW that the policy forbids", allowed],
    ...(decision["decision"] === "ALLOW" ? [] : [["another code", denied] as const]),
    ["another rule", { rule: "constraints.0" }],
    ["another step", { step: decision["step"] === "send" ? "look" : "send" }],
    ["another function", { function: "lookup", tool: undefined }],
    ["another action", { action_type: "WRITE_DB" }],
    ["a seal", { sealed: true }],
    [
      "effects that cannot follow",
      { effects: { totals: { "tools.transfer_funds.limits.sum": "5000" } } },
    ],
  ];
}
