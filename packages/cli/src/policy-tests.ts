/** The tests that stand in a policy, played through the gate's own engine before the policy is used. */
import { randomBytes } from "node:crypto";
import {
  type ActionInput,
  type CompiledPolicy,
  createGate,
  type Gate,
  generateSigningKey,
  memoryStore,
  type Opening,
} from "@stepgate/core";
import { PolicyError, type PolicyIssue, policyTests, type PolicyTest } from "@stepgate/policy";
import { locateIssue } from "./policy-file.ts";

/** How one test went. */
export interface PlayedTest {
  readonly name: string;
  /** One for each call that was answered otherwise than expected; none: it passed. */
  readonly issues: readonly PolicyIssue[];
}

/** Plays every test of a policy, each on a gate of its own. */
export async function playTests(policy: CompiledPolicy): Promise<readonly PlayedTest[]> {
  const played: PlayedTest[] = [];
  for (const [index, test] of policyTests(policy).entries())
    played.push({ name: test.name, issues: await playTest(policy, test, index) });
  return played;
}

/** @throws PolicyError with one issue for each call of a policy's tests that was answered otherwise. */
export async function mustPassItsTests(
  policy: CompiledPolicy,
  source?: { readonly file: string; readonly text: string },
): Promise<void> {
  const issues = (await playTests(policy)).flatMap((test) => test.issues);
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
): Promise<readonly PolicyIssue[]> {
  // A gate of its own for each test, and room for every denial.
  const gate = await createGate({
    policies: [policy],
    store: memoryStore(),
    signer: generateSigningKey(),
    saltKey: randomBytes(32),
    maxDenialsPerSecond: 1_000_000,
  });
  const path = `tests.${index}`;
  const refused = await gate.open(openingOf(test)).then(() => undefined, messageOf);
  if (refused !== undefined)
    return [{ path, message: `test '${test.name}' cannot begin: ${refused}` }];
  const issues: PolicyIssue[] = [];
  for (const [at, call] of test.calls.entries()) {
    const fault = await playCall(gate, test, call);
    if (fault !== undefined)
      issues.push({
        path: `${path}.calls.${at}.expect`,
        message: `test '${test.name}', call ${at + 1}: ${fault}`,
      });
  }
  return issues;
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

async function playCall(
  gate: Gate,
  test: PolicyTest,
  call: PolicyTest["calls"][number],
): Promise<string | undefined> {
  const { expect, ...members } = call;
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
  const decision = await gate.decide(given as unknown as ActionInput);
  const answer = decision.decision === "ALLOW" ? "ALLOW" : decision.deny_code;
  return answer === expect ? undefined : `expected ${expect}, got ${answer}: ${decision.message}`;
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
