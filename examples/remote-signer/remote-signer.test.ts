/** The signer in another process: while it is gone nothing runs, once it is back the gate goes on. */
import { execFile } from "node:child_process";
import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { mkdtempSync, readFileSync, rmSync, statSync } from "node:fs";
import { connect, createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import {
  compilePolicy,
  createGate,
  type Decision,
  generateSigningKey,
  importKeySet,
  type LocalGate,
  memoryStore,
  type PublicJwk,
  type Signer,
  type Store,
  verifyReceipts,
} from "stepgate";
import { expect, onTestFinished, test } from "vitest";
import { remoteSigner } from "./remote-signer.ts";
import { type StartedSigner, startSigner } from "./start-signer.ts";

const policy = compilePolicy({
  schema: "stepgate.policy/1",
  id: "p",
  version: "1",
  sequence: "a, b, c",
  functions: { a: ["DO"], b: ["DO"], c: ["DO"] },
});

interface World {
  readonly gate: LocalGate;
  readonly store: Store;
  readonly socket: string;
  readonly keyFile: string;
  readonly signer: StartedSigner;
  start(keyFile?: string): Promise<StartedSigner>;
}

async function world(first?: Signer): Promise<World> {
  const folder = mkdtempSync(join(tmpdir(), "stepgate-signer-"));
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
  const [keyFile, socket] = [join(folder, "key.pem"), join(folder, "s.sock")];
  const start = async (file = keyFile): Promise<StartedSigner> => {
    const started = await startSigner(file, socket);
    onTestFinished(() => void started.process.kill("SIGKILL"));
    return started;
  };
  const signer = await start();
  const remote = remoteSigner(socket, signer.publicJwk);
  onTestFinished(() => remote.close());
  const store = memoryStore();
  const saltKey = randomBytes(32);
  const gate = await createGate({ policies: [policy], store, signer: first ?? remote, saltKey });
  return { gate, store, socket, keyFile, signer, start };
}

async function gone(signer: StartedSigner): Promise<void> {
  const exit = once(signer.process, "exit");
  signer.process.kill("SIGKILL");
  await exit;
}

function ask(gate: LocalGate, sequence_id: string, fn = "a"): Promise<Decision> {
  return gate.decide({ sequence_id, function: fn, action_type: "DO" });
}

function said(decision: Decision): string {
  return decision.decision === "ALLOW" ? "ALLOW" : decision.deny_code;
}

async function mustBeSound({ store }: World, ...keys: readonly PublicJwk[]): Promise<void> {
  const report = await verifyReceipts(store.lines(), { keys: importKeySet({ keys }) });
  expect(report).toMatchObject({ findings: [], result: "sound" });
}

/** An action must not run, and the answer must come in the gate's time; the slack is a busy machine's. */
async function mustDeny(gate: LocalGate, sequence_id: string, fn: string): Promise<void> {
  const begun = performance.now();
  let ran = false;
  await expect(
    gate.enforce({ sequence_id, function: fn, action_type: "DO" }, () => (ran = true)),
  ).rejects.toMatchObject({ code: "STORE_UNAVAILABLE" });
  expect(ran).toBe(false);
  expect(performance.now() - begun).toBeLessThan(5_000);
}

test("signs what a stranger verifies, with a key that only its own process can read", async () => {
  const here = await world();
  expect(said(await ask(here.gate, "s"))).toBe("ALLOW");
  await mustBeSound(here, here.signer.publicJwk);
  expect(statSync(here.keyFile).mode & 0o777).toBe(0o600);
});

test("dies: every decision is denied in time and nothing runs; comes back: the gate goes on", async () => {
  const here = await world();
  expect(said(await ask(here.gate, "s", "a"))).toBe("ALLOW");
  await gone(here.signer);
  await mustDeny(here.gate, "s", "b");
  await mustDeny(here.gate, "t", "a");
  const back = await here.start();
  expect(back.publicJwk).toEqual(here.signer.publicJwk);
  expect(said(await ask(here.gate, "s", "b"))).toBe("ALLOW");
  expect(said(await ask(here.gate, "t", "a"))).toBe("ALLOW");
  await mustBeSound(here, here.signer.publicJwk);
});

test("hangs: denied within the deadline, and goes on once it answers again", async () => {
  const here = await world();
  expect(said(await ask(here.gate, "s", "a"))).toBe("ALLOW");
  here.signer.process.kill("SIGSTOP");
  await mustDeny(here.gate, "s", "b");
  here.signer.process.kill("SIGCONT");
  await expect.poll(async () => said(await ask(here.gate, "s", "b"))).toBe("ALLOW");
  await mustBeSound(here, here.signer.publicJwk);
});

test("dies under 64 decisions: each is allowed and on record, or denied and is not", async () => {
  const here = await world();
  await ask(here.gate, "warm");
  const asked = Array.from({ length: 64 }, (_, i) => ask(here.gate, `s${i}`));
  here.signer.process.kill("SIGKILL");
  const answers = await Promise.all(asked);
  expect(answers.map(said).filter((one) => !["ALLOW", "STORE_UNAVAILABLE"].includes(one))).toEqual(
    [],
  );
  expect(answers.map(said)).toContain("STORE_UNAVAILABLE");
  for (const [i, answer] of answers.entries()) {
    const chain = await Array.fromAsync(here.gate.receipts(`s${i}`));
    expect(chain).toHaveLength(said(answer) === "ALLOW" ? 2 : 0);
  }
  await mustBeSound(here, here.signer.publicJwk);
});

test("answers with another key: found out before anything is on record", async () => {
  const here = await world();
  await gone(here.signer);
  await here.start(`${here.keyFile}.other`);
  await mustDeny(here.gate, "s", "a");
  expect(await Array.fromAsync(here.gate.receipts("s"))).toEqual([]);
});

test("signs nothing but what Stepgate has signed", async () => {
  const here = await world();
  const remote = remoteSigner(here.socket, here.signer.publicJwk);
  onTestFinished(() => remote.close());
  for (const text of ["pay me", "stepgate.approval/1\n{}", " stepgate.receipt/1\n{}", ""])
    await expect(remote.sign(Buffer.from(text))).rejects.toThrow("refused");
  expect(await remote.sign(Buffer.from("stepgate.receipt/1\n{}"))).toHaveLength(64);
});

test("answers nonsense, or is asked nonsense: neither process ends by it", async () => {
  const here = await world();
  await gone(here.signer);
  rmSync(here.socket, { force: true });
  const liar = createServer((socket) => {
    socket.on("error", () => {});
    socket.end("}{\n7\n");
  });
  await once(liar.listen(here.socket), "listening");
  await mustDeny(here.gate, "s", "a");
  liar.close();
  await here.start();
  const stranger = connect(here.socket);
  stranger.write("}{\n");
  await once(stranger, "close");
  expect(said(await ask(here.gate, "s", "a"))).toBe("ALLOW");
});

test("takes over from a key in the gate's own process", async () => {
  const own = generateSigningKey();
  const here = await world(own);
  const remote = remoteSigner(here.socket, here.signer.publicJwk);
  onTestFinished(() => remote.close());
  await here.gate.rotateKey(remote);
  expect((await ask(here.gate, "s")).receipt?.key_id).toBe(remote.keyId);
  await mustBeSound(here, own.publicJwk, here.signer.publicJwk);
});

test("the program prints what happened, and its README says where to look", async () => {
  const { stdout } = await promisify(execFile)(process.execPath, [
    join(import.meta.dirname, "main.ts"),
  ]);
  expect(stdout).toBe("check: done\npay: STORE_UNAVAILABLE\npay: done\nreport: done\n");
  const readme = readFileSync(join(import.meta.dirname, "README.md"), "utf8");
  expect(readme).toContain("node examples/remote-signer/main.ts");
});
