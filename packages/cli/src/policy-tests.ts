/** Tests of a policy, played through the gate's own engine. */
import { randomBytes } from "node:crypto";
import {
  type ActionInput,
  type CompiledPolicy,
  createGate,
  type Decision,
  type Gate,
  generateSigningKey,
  memoryStore,
  type Opening,
} from "@stepgate/core";
import {
  type DecidedCall,
  didYouMean,
  PolicyError,
  type PolicyIssue,
  policyTests,
  type PolicyTest,
  type PolicyTestCall,
} from "@stepgate/policy";
import { printable } from "./output.ts";
import { locateIssue } from "./policy-file.ts";

/** A call that was answered otherwise than its test expects. */
export interface TestFault extends PolicyIssue {
  /** Counted from 1. Absent, like all else, where the test could not begin. */
  readonly call?: number;
  readonly expected?: string;
  readonly got?: string;
  /** The rule that refused. */
  readonly rule?: string;
}

/** How one test went. */
export interface PlayedTest {
  readonly name: string;
  /** One for each call that was answered otherwise than expected; none: it passed. */
  readonly issues: readonly TestFault[];
  /** Every call and its answer, for coverage. */
  readonly calls: readonly DecidedCall[];
}

/** Plays tests, each on a gate of its own. Faults are at `tests.<i>`, as the tests stand in a policy or beside it. */
export async function playTests(
  policy: CompiledPolicy,
  tests: readonly PolicyTest[],
  onPlayed: () => void = () => {},
): Promise<readonly PlayedTest[]> {
  const played: PlayedTest[] = [];
  for (const [index, test] of tests.entries()) {
    played.push(await playTest(policy, test, index));
    onPlayed();
  }
  return played;
}

/** @throws PolicyError with one issue for each call of a policy's own tests that was answered otherwise. */
export async function mustPassItsTests(
  policy: CompiledPolicy,
  source?: { readonly file: string; readonly text: string },
): Promise<void> {
  const played = await playTests(policy, policyTests(policy));
  const issues = played.flatMap((test) => test.issues);
  if (issues.length === 0) return;
  if (source === undefined) throw new PolicyError(issues);
  throw new PolicyError(
    issues.map((issue) => locateIssue(issue, source.text)),
    { file: source.file },
  );
}

const SEQUENCE = "test";

async function playTest(
  policy: CompiledPolicy,
  test: PolicyTest,
  index: number,
): Promise<PlayedTest> {
  // A gate of its own for each test, and room for every denial.
  const gate = await createGate({
    policies: [policy],
    store: memoryStore(),
    signer: generateSigningKey(),
    saltKey: randomBytes(32),
    maxDenialsPerSecond: 1_000_000,
  });
  const { name } = test;
  const label = `test '${printable(name)}'`;
  const path = `tests.${index}`;
  const refused = await gate.open(openingOf(test)).then(() => undefined, messageOf);
  if (refused !== undefined) {
    const message = `${label} cannot begin: ${refused}`;
    return { name, issues: [{ path, message }], calls: [] };
  }
  const issues: TestFault[] = [];
  const calls: DecidedCall[] = [];
  for (const [at, call] of test.calls.entries()) {
    const decision = await playCall(gate, test, call);
    calls.push(decidedCall(call, decision));
    const fault = faultOf(policy, call, decision);
    if (fault === undefined) continue;
    const message = `${label}, call ${at + 1} (${nameOf(call)}): ${fault.message}`;
    issues.push({ ...fault, path: `${path}.calls.${at}.expect`, message, call: at + 1 });
  }
  return { name, issues, calls };
}

/** Who calls is the owner of the sequence, unless a call says otherwise. */
function openingOf({ context, agent_id, tenant, calls }: PolicyTest): Opening {
  const agent = agent_id ?? calls[0]?.agent_id;
  return {
    sequence_id: SEQUENCE,
    ...(context === undefined ? {} : { context: context as NonNullable<Opening["context"]> }),
    ...(agent === undefined ? {} : { agent_id: agent }),
    ...(tenant === undefined ? {} : { tenant }),
  };
}

function playCall(gate: Gate, test: PolicyTest, call: PolicyTestCall): Promise<Decision> {
  const { expect: _, ...members } = call;
  // The gate reads this as it reads any request: what is not well formed is INVALID_REQUEST.
  const request = {
    agent_id: test.agent_id,
    tenant: test.tenant,
    ...members,
    sequence_id: SEQUENCE,
  };
  const given = Object.fromEntries(
    Object.entries(request).filter(([, value]) => value !== undefined),
  );
  return gate.decide(given as unknown as ActionInput);
}

/** What the policy made of the call is in the receipt; of a call that has none, only the answer is known. */
function decidedCall({ args = {} }: PolicyTestCall, decision: Decision): DecidedCall {
  if (decision.receipt !== undefined) return { ...decision.receipt, args };
  return decision.decision === "ALLOW" ? { args } : { deny_code: decision.deny_code, args };
}

function faultOf(
  policy: CompiledPolicy,
  call: PolicyTestCall,
  decision: Decision,
): Omit<TestFault, "path"> | undefined {
  const refusal = decision.decision === "ALLOW" ? undefined : decision;
  const expected = call.expect;
  const got = refusal?.deny_code ?? "ALLOW";
  if (got === expected) return undefined;
  const rule = refusal?.rule;
  const message = `expected ${expected}, got ${got}${rule === undefined ? "" : ` [${rule}]`}: ${decision.message}`;
  return {
    expected,
    got,
    ...(rule === undefined ? {} : { rule }),
    message,
    ...nearest(policy, call, rule),
  };
}

function nameOf({ tool, function: fn, action_type }: PolicyTestCall): string {
  return tool ?? [fn, action_type].filter((name) => name !== undefined).join(" ");
}

/** A name that the policy does not know is likely a slip. */
function nearest(
  { tools, functions }: CompiledPolicy,
  call: PolicyTestCall,
  rule: string | undefined,
): { readonly hint?: string } {
  if (rule === "tools" && call.tool !== undefined)
    return { ...didYouMean(call.tool, tools.keys()) };
  if (rule !== "functions" || call.function === undefined) return {};
  return { ...didYouMean(call.function, functions.keys()) };
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
