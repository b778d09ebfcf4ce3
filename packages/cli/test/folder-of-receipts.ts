/** A folder in which a gate recorded every kind of record, and a key to sign exports with. */
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { type Deny, signApproval, signingKey } from "@stepgate/core";
import { readFileSync, rmSync } from "node:fs";
import { openGate } from "../src/index.ts";
import { runProgram } from "../src/program.ts";
import { temporaryFolder } from "./binary.ts";
import { inProcess } from "./in-process.ts";

/** Payments of 500 or more need finance. */
export const PAYMENTS = `schema: stepgate.policy/1
id: payments
version: "1"
sequence: pay{1,5}
functions:
  pay: [WRITE_DB]
tools:
  pay:
    function: pay
    action: WRITE_DB
    approval: { when: args.amount >= 500.0, by: [finance] }
`;

/** One command line in this process. */
export async function program(...args: readonly string[]) {
  const terminal = inProcess();
  const code = await runProgram(args, terminal);
  return { code, stdout: terminal.stdout.text, stderr: terminal.stderr.text };
}

/**
 * In sequence `a` a payment ran, one was approved by Alice of finance, and Bob sealed it; in `b` and `c` calls were denied at
 * once, so that one signature serves both. `receipts` is the command on that store with the keys of the folder.
 */
export async function folderOfReceipts(mode: "enforce" | "shadow" = "enforce") {
  const folder = temporaryFolder({ "policy.yaml": PAYMENTS });
  const at = (name: string): string => join(folder, name);
  const keys = at(".stepgate");
  const store = `sqlite:${at("stepgate.db")}`;
  const approvers = join(keys, "approvers.json");
  await program("keys", "new", at("alice.pem"), "--role", "finance", "--approvers", approvers);
  await program("keys", "new", at("export"));
  const gate = await openGate({ policy: at("policy.yaml"), store, keys, mode });
  const agent = { agent_id: "treasury" };
  await gate.open({ sequence_id: "a", ...agent, context: { ticket: 7 } });
  const call = { sequence_id: "a", tool: "pay", ...agent };
  await gate.enforce({ ...call, args: { amount: 1 } }, () => "paid");
  const large = { ...call, nonce: "n1", args: { amount: 900 } };
  const denial = (await gate.decide(large)) as Deny;
  if (denial.approval !== undefined) {
    const alice = signingKey(readFileSync(at("alice.pem"), "utf8"));
    const { log_id, sequence_id, request } = denial.approval;
    const expires_ms = Date.now() + 60_000;
    await gate.approve(
      signApproval({ log_id, sequence_id, request, verdict: "approve", expires_ms }, alice),
    );
    await gate.decide(large);
  }
  await gate.addContext("a", { more: "context" }).catch(() => {});
  await gate.seal("a", "over", "bob");
  await Promise.all(["b", "c"].map((sequence_id) => gate.decide({ sequence_id, tool: "py" })));
  await gate.close();
  const trust = ["--keys", join(keys, "keys.json"), "--keys", approvers];
  const receipts = (...args: readonly string[]) => program("receipts", "--store", store, ...args);
  return {
    at,
    store,
    trust,
    receipts,
    /** As in-toto attestations, by the export key. */
    inToto: (...args: readonly string[]) =>
      receipts("--format", "in-toto", "--key", at("export/signing-key.pem"), ...trust, ...args),
    otel: (...args: readonly string[]) => receipts("--format", "otel", ...trust, ...args),
    /** Changes the records behind the store's back, and whatever the store could notice it by, as who holds the files can. */
    tamper: (sql: string): void => {
      const database = new DatabaseSync(at("stepgate.db"));
      database.exec(`DROP TRIGGER record_stays; DROP TRIGGER record_stands; ${sql}; ${REWRITE}`);
      rmSync(at("stepgate.db-mark"));
      database.close();
    },
  };
}

/** Every row anew, at positions without a gap, as one of before there were checksums. */
const REWRITE = `
  CREATE TEMP TABLE kept AS SELECT row_number() OVER (ORDER BY position) AS position, sequence, seq, nonce, line FROM record;
  DELETE FROM record;
  INSERT INTO record (position, sequence, seq, nonce, line) SELECT position, sequence, seq, nonce, line FROM kept;
`;
