/** A gate that has no key: it asks a process that has. While that process is gone nothing is allowed. */
import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { compilePolicy, createGate, DeniedError, memoryStore } from "stepgate";
import { remoteSigner } from "./remote-signer.ts";
import { startSigner } from "./start-signer.ts";

const folder = mkdtempSync(join(tmpdir(), "stepgate-signer-"));
const place = [join(folder, "signer-key.pem"), join(folder, "signer.sock")] as const;

let signer = await startSigner(...place);
const remote = remoteSigner(place[1], signer.publicJwk);
const gate = await createGate({
  policies: [
    compilePolicy({
      schema: "stepgate.policy/1",
      id: "payouts",
      version: "1",
      sequence: "check, pay, report",
      functions: { check: ["READ"], pay: ["PAY"], report: ["SEND"] },
    }),
  ],
  store: memoryStore(),
  signer: remote,
  saltKey: randomBytes(32),
});

async function act(fn: string, action_type: string): Promise<void> {
  try {
    const input = { sequence_id: "payout-7", function: fn, action_type };
    console.log(await gate.enforce(input, () => `${fn}: done`));
  } catch (error) {
    if (!DeniedError.isInstance(error)) throw error;
    console.log(`${fn}: ${error.code}`);
  }
}

await act("check", "READ");
signer.process.kill("SIGKILL");
await once(signer.process, "exit");
await act("pay", "PAY");
signer = await startSigner(...place);
await act("pay", "PAY");
await act("report", "SEND");

remote.close();
await gate.close();
signer.process.kill();
rmSync(folder, { recursive: true });
