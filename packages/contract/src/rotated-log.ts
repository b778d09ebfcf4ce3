/**
 * One small log over its life, the same bytes in every run: a policy is followed by another and withdrawn, the gate's key by
 * the next one, and checkpoints are made in between.
 */
import {
  type Allow,
  type Checkpoint,
  checkpointLog,
  createGate,
  type LocalGate,
  memoryStore,
  type PublicJwk,
  type SigningKey,
  type Store,
} from "@stepgate/core";
import { compilePolicy } from "@stepgate/policy";
import { APPROVER_KEY, GATE_KEY } from "./sound-receipts.ts";
import { testKey, testRandom, testSecret } from "./test-keys.ts";

/** The log, who is trusted for it, and what was kept of it. */
export interface RotatedLog {
  /** In leaf order; what came after the later checkpoint last. */
  readonly lines: readonly string[];
  /** A JWKS: the gate's key until it was rotated out, the next one from then on, and a person's. */
  readonly keys: { readonly keys: readonly PublicJwk[] };
  /** Of `@log` and one sequence, under the first key; and of all but the last sequence, under the next. */
  readonly checkpoints: readonly [earlier: Checkpoint, later: Checkpoint];
  /** When the next key took over, in seconds. */
  readonly rotatedAt: number;
  readonly store: Store;
}

/** The key that takes over. */
export const NEXT_KEY: SigningKey = testKey("next gate");

/** Opens a gate on an empty store and lives through it all; `logId` names the log. */
export async function rotatedLog(logId = "rotated"): Promise<RotatedLog> {
  let now = 1_790_000_000_000;
  const store = memoryStore();
  const gate = await createGate({
    store,
    logId,
    policies: [policy("1")],
    earlier: [policy("2")],
    signer: GATE_KEY,
    saltKey: testSecret("salt"),
    gateId: "gate-1",
    clock: () => now,
    random: testRandom(`${logId} gate`),
    deadlineMs: 3_600_000,
  });
  // What comes first is told by time: a second for each step.
  const then = async <T>(step: () => Promise<T>): Promise<T> => {
    now += 1_000;
    return step();
  };
  await then(() => run(gate, "before"));
  const earlier = await checkpointLog(store, GATE_KEY);
  await then(() => gate.activate(policy("2")));
  await then(() => run(gate, "between"));
  const { ts_ms } = await then(() => gate.rotateKey(NEXT_KEY));
  const rotatedAt = Math.floor(ts_ms / 1000) + 1;
  await then(() => run(gate, "after"));
  await then(() => gate.withdraw(policy("2").digest));
  const later = await checkpointLog(store, NEXT_KEY);
  await then(() => gate.activate(policy("1")));
  await then(() => run(gate, "last"));
  return {
    lines: await Array.fromAsync(store.lines()),
    keys: {
      keys: [
        { ...GATE_KEY.publicJwk, exp: rotatedAt },
        { ...NEXT_KEY.publicJwk, nbf: rotatedAt - 1 },
        { ...APPROVER_KEY.publicJwk, roles: ["finance"] },
      ],
    },
    checkpoints: [earlier, later],
    rotatedAt,
    store,
  };
}

const POLICY = {
  schema: "stepgate.policy/1",
  id: "desk",
  sequence: "look, close",
  functions: { look: ["READ"], close: ["WRITE"] },
};

function policy(version: string): ReturnType<typeof compilePolicy> {
  return compilePolicy({ ...POLICY, version });
}

/** Four records: `open`, an ALLOW, its outcome, and a denial. */
async function run(gate: LocalGate, sequence_id: string): Promise<void> {
  const look = { sequence_id, function: "look", action_type: "READ" };
  const allow = await gate.decide({ ...look, nonce: "first" });
  if (allow.decision === "DENY") throw new TypeError(`the log's run was denied: ${allow.rule}`);
  await gate.outcome(allow satisfies Allow, { status: "succeeded" });
  await gate.decide({ ...look, nonce: "second" });
}
