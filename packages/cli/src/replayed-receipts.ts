/** A file of receipts, verified and decided again under another policy in one reading. */
import {
  createReplay,
  type JsonObject,
  parseStrictJson,
  type Receipt,
  type ReplayedCall,
  type Store,
  type VerificationReport,
  verifyFile,
  type VerifyOptions,
} from "@stepgate/core";
import type { Disclosures } from "./disclosures.ts";
import { type PolicyFile, rulePlaces } from "./policy-file.ts";
import { fileChunks } from "./reading.ts";

/** How an answer changed. `otherwise-denied`: it was, and is, a DENY, by another code. */
export const CHANGES = ["newly-denied", "newly-allowed", "otherwise-denied", "unknown"] as const;

/** One of {@link CHANGES}. */
export type Change = (typeof CHANGES)[number];

/** A call whose answer changed, or may have changed. */
export interface ChangedCall extends ReplayedCall {
  readonly change: Change;
  /** `file:line:column` of the rule that refuses, where it stands in the policy. */
  readonly at?: string;
}

/** What the other policy makes of a file of receipts. */
export interface ReplayReport {
  readonly sequences: number;
  readonly calls: number;
  /** In the order of the file. */
  readonly changed: readonly ChangedCall[];
  /** Sequences that ran under policies of other ids, by id; they are left out. */
  readonly left_out: Readonly<Record<string, number>>;
}

/** What a replay reads. */
export interface ReplaySources {
  readonly file: string;
  readonly policy: PolicyFile;
  readonly trust: Pick<VerifyOptions, "keys" | "require" | "hmacKeys">;
  readonly disclosures: Disclosures;
  /** Where the contexts are kept; without it they are not known. */
  readonly store?: Store;
  readonly progress: (records: number) => void;
}

/** The verification, and the report where it found the receipts sound. @throws GateError INVALID_INPUT. */
export async function replayReceipts(
  sources: ReplaySources,
): Promise<{ readonly verification: VerificationReport; readonly report?: ReplayReport }> {
  const { file, policy, trust } = sources;
  const replay = createReplay(policy.policy, trust.keys);
  const tally = createTally(policy);
  const met: { readonly receipt: Receipt; readonly hash: string }[] = [];
  let records = 0;

  /** Verifying does not wait; contexts are fetched between two chunks of the file. */
  async function decideMet(): Promise<void> {
    for (const { receipt, hash } of met.splice(0)) {
      const call = replay.take(receipt, hash, await givenFor(sources, receipt, hash));
      if (receipt.kind === "open") tally.opened(receipt.policy_id);
      if (call !== undefined) tally.add(call);
      if (++records % 1000 === 0) sources.progress(records);
    }
  }

  async function* chunks(): AsyncGenerator<Uint8Array> {
    for await (const chunk of fileChunks(file)) {
      yield chunk;
      await decideMet();
    }
  }

  const record = (receipt: Receipt, hash: string): void => void met.push({ receipt, hash });
  const verification = await verifyFile(chunks(), { ...trust, record });
  if (verification.result !== "sound") return { verification };
  await decideMet();
  return { verification, report: tally.report() };
}

async function givenFor(
  { disclosures, store }: ReplaySources,
  receipt: Receipt,
  hash: string,
): Promise<{ readonly args?: JsonObject; readonly context?: JsonObject }> {
  if (receipt.kind === "decision") {
    const args = disclosures(receipt, hash);
    return args === undefined ? {} : { args };
  }
  if (!("context_digest" in receipt) || receipt.context_digest === undefined) return {};
  const text = await store?.document(receipt.context_digest);
  // The store holds what the gate wrote: the canonical text of an object.
  return text === undefined ? {} : { context: parseStrictJson(text) as JsonObject };
}

/** Counts by policy id: whose sequences are meant is known at the end. */
function createTally(policy: PolicyFile) {
  interface Count {
    sequences: number;
    calls: number;
    readonly changed: ChangedCall[];
  }
  const counts = new Map<string, Count>();
  const placeOf = rulePlaces(policy);
  const of = (id: string): Count => {
    const known = counts.get(id) ?? { sequences: 0, calls: 0, changed: [] };
    counts.set(id, known);
    return known;
  };
  return {
    opened: (id: string): void => void of(id).sequences++,
    add(call: ReplayedCall): void {
      const count = of(call.policy_id);
      count.calls++;
      const change = changeOf(call);
      if (change === undefined) return;
      const { rule } = "rule" in call.replayed ? call.replayed : {};
      const at = rule === undefined ? undefined : placeOf(rule);
      count.changed.push({ change, ...call, ...(at === undefined ? {} : { at }) });
    },
    report(): ReplayReport {
      // Of a log of several policies the sequences of this one are meant; a policy of a new id is tried on all.
      const own = counts.get(policy.policy.id);
      const meant = own === undefined ? [...counts.values()] : [own];
      const others = [...counts].filter(([, count]) => !meant.includes(count));
      return {
        sequences: sum(meant.map(({ sequences }) => sequences)),
        calls: sum(meant.map(({ calls }) => calls)),
        changed: meant.flatMap(({ changed }) => changed),
        left_out: Object.fromEntries(others.map(([id, { sequences }]) => [id, sequences])),
      };
    },
  };
}

function changeOf({ recorded, replayed }: ReplayedCall): Change | undefined {
  if (replayed.decision === "UNKNOWN") return "unknown";
  if (recorded.decision !== replayed.decision)
    return replayed.decision === "DENY" ? "newly-denied" : "newly-allowed";
  return recorded.deny_code === replayed.deny_code ? undefined : "otherwise-denied";
}

function sum(numbers: readonly number[]): number {
  return numbers.reduce((total, one) => total + one, 0);
}
