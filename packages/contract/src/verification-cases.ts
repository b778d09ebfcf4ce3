/** Everything that a verifier elsewhere must answer as core does: published vectors, mutants, checkpoints, proofs, keys over time. */
import { readFileSync } from "node:fs";
import {
  checkpointLog,
  createGate,
  memoryStore,
  proveRecord,
  type PublicJwk,
  recordHash,
  type Receipt,
} from "@stepgate/core";
import { compilePolicy } from "@stepgate/policy";
import { bytesOf, parsed, signedLine } from "./mutant.ts";
import { recordMutants } from "./receipt-mutants.ts";
import { thumbprint } from "./second-proofs.ts";
import { GATE_KEY, SOUND_KEYS, SOUND_SECRETS, soundReceipts } from "./sound-receipts.ts";
import type { SecondTrust } from "./second-verifier.ts";
import { testKey, testRandom, testSecret } from "./test-keys.ts";
import type { VerificationCase } from "./verification-case.ts";

/** All of them; of the mutants one in `every`. */
export async function verificationCases(every: number): Promise<readonly VerificationCase[]> {
  return [...vectorCases(), ...(await sampledMutants(every)), ...(await logOverTime())];
}

const VECTORS = new URL("../../core/test/vectors/", import.meta.url);
const read = (path: string): Buffer => readFileSync(new URL(path, VECTORS));
const SOUND_TRUST: SecondTrust = { keys: SOUND_KEYS, secrets: SOUND_SECRETS };

/** What is published beside the specification of receipts. */
export function vectorCases(): readonly VerificationCase[] {
  const lines = (path: string): readonly Record<string, unknown>[] =>
    read(path)
      .toString()
      .trim()
      .split("\n")
      .map((line) => JSON.parse(line));
  const records = lines("records.jsonl").map(({ line }) => `${String(line)}\n`);
  const sound = read("sound.jsonl");
  const negative = lines("expected.jsonl").map(({ file, trust }) =>
    fileCase(String(file), read(String(file)), { ...SOUND_TRUST, ...(trust as object) }),
  );
  return [
    ...[sound.length, 1000, 65_536].map((chunk) => ({
      ...fileCase(`sound in chunks of ${chunk}`, sound, SOUND_TRUST),
      chunk,
    })),
    fileCase("sound by its MACs", sound, { ...SOUND_TRUST, require: "hmac" }),
    fileCase("sound to whoever has no secret", sound, { keys: SOUND_KEYS }),
    fileCase("sound to whoever knows no key", sound, { keys: { keys: [] } }),
    fileCase("records that do not belong together", Buffer.from(records.join("")), SOUND_TRUST),
    fileCase("nothing", Buffer.alloc(0), SOUND_TRUST),
    fileCase("what is no file of receipts", Buffer.from("\xff\n\n[]\nnull\n{}\n"), SOUND_TRUST),
    fileCase("a line that never ends", Buffer.alloc(200_000, "a"), SOUND_TRUST),
    ...negative,
  ];
}

async function sampledMutants(every: number): Promise<readonly VerificationCase[]> {
  const mutants = recordMutants(await soundReceipts(8), await soundReceipts(8, 25, "other"));
  return [...mutants]
    .filter((_, at) => at % every === 0)
    .map(({ name, file, trust }) => fileCase(name, file, { ...SOUND_TRUST, ...trust }));
}

/** A log whose key is handed over, with checkpoints before and after, read under keys that expired or were revoked. */
async function logOverTime(): Promise<readonly VerificationCase[]> {
  const [next, store] = [testKey("next"), memoryStore()];
  const gate = await createGate({
    store,
    signer: GATE_KEY,
    policies: [compilePolicy(POLICY)],
    saltKey: testSecret("salt"),
    logId: "over-time",
    clock: () => AT_MS,
    random: testRandom("over time"),
  });
  const run = async (sequence_id: string): Promise<unknown> =>
    gate.enforce({ sequence_id, function: "look", action_type: "READ" }, () => "seen");
  await Promise.all(["a", "b", "c"].map(run));
  const earlier = await checkpointLog(store, GATE_KEY);
  await gate.rotateKey(next);
  await Promise.all(["d", "e"].map(run));
  const later = await checkpointLog(store, next);
  const lines = await Array.fromAsync(store.lines());
  const proof = await proveRecord(store, JSON.parse(lines[3] ?? "") as Receipt, later);
  return [
    ...filesOverTime(lines, [earlier.note, later.note], [GATE_KEY.publicJwk, next.publicJwk]),
    fileCase("a key handed over to one of small order", smallOrderHandover(lines), {
      keys: { keys: [GATE_KEY.publicJwk, next.publicJwk] },
    }),
    ...notesOverTime(later.note, [GATE_KEY.publicJwk, next.publicJwk]),
    ...lines.map((line) => ({
      name: `a proof, held against ${line.slice(0, 80)}`,
      proof: { of: recordHash(JSON.parse(line) as Receipt), text: proof },
      keys: { keys: [next.publicJwk] },
    })),
  ];
}

/** The gate itself names a next key under which anybody signs anything, where a platform lets that hold. */
function smallOrderHandover(lines: readonly string[]): Buffer {
  const x = Buffer.from(`01${"00".repeat(31)}`, "hex").toString("base64url");
  const bare = { crv: "Ed25519", kty: "OKP", x };
  const new_key = { ...bare, kid: thumbprint(bare) };
  const new_key_sig = `ed25519=01${"00".repeat(63)}`;
  const forged = lines.map((line) =>
    parsed(line)["kind"] === "key" ? signedLine({ ...parsed(line), new_key, new_key_sig }) : line,
  );
  return bytesOf(forged);
}

const AT_MS = 1_790_000_000_000;
const POLICY = {
  schema: "stepgate.policy/1",
  id: "looking",
  version: "1",
  sequence: "look, close",
  functions: { look: ["READ"], close: ["SEAL"] },
};

function filesOverTime(
  lines: readonly string[],
  notes: readonly string[],
  [first, next]: readonly [PublicJwk, PublicJwk],
): readonly VerificationCase[] {
  const at = AT_MS / 1000;
  const kept = notes.map((note) => ({ note, kept_since: at }));
  const trusts: readonly (readonly [string, SecondTrust])[] = [
    ["both keys", { keys: { keys: [first, next] } }],
    ["the first key", { keys: { keys: [first] } }],
    ["an expired key", { keys: { keys: [{ ...first, exp: at }, next] } }],
    ["a key that is not valid yet", { keys: { keys: [first, { ...next, nbf: at + 1 }] } }],
    ["a revoked key", { keys: { keys: [{ ...first, revoked_from: at + 9 }, next] } }],
    ["the new key as a person's", { keys: { keys: [first, { ...next, roles: ["owner"] }] } }],
  ];
  const swapped = [...lines.slice(0, 4), lines[5], lines[4], ...lines.slice(6)];
  const forged = lines.map((line) => line.replace(/("new_key_sig":"ed25519=)../, "$100"));
  const files = { whole: lines, shorter: lines.slice(0, -1), swapped, forged };
  return Object.entries(files).flatMap(([file, text]) =>
    trusts.flatMap(([trust, given]) =>
      [undefined, notes, kept, notes.slice(1)].map((checkpoints, which) =>
        fileCase(
          `${file} under ${trust}, checkpoints ${which}`,
          Buffer.from(text.map((line) => `${line}\n`).join("")),
          { ...given, ...(checkpoints === undefined ? {} : { checkpoints }) },
        ),
      ),
    ),
  );
}

function notesOverTime(note: string, keys: readonly PublicJwk[]): readonly VerificationCase[] {
  const trusted = { keys };
  const bent = Array.from(note, (_, at) => `${note.slice(0, at)}0${note.slice(at + 1)}`);
  return [
    { name: "a checkpoint", checkpoint: note, keys: trusted },
    { name: "a checkpoint of a stranger's", checkpoint: note, keys: { keys: keys.slice(0, 1) } },
    ...bent.map((checkpoint, at) => ({
      name: `a checkpoint bent at ${at}`,
      checkpoint,
      keys: trusted,
    })),
    { name: "a key set that is none", checkpoint: note, keys: { keys: [{}] } },
  ];
}

type Trust = Omit<SecondTrust, "checkpoints"> & Pick<VerificationCase, "checkpoints">;

/** A file, and the trust that it is read under. */
export function fileCase(name: string, file: Buffer, trust: Trust): VerificationCase {
  const { keys, secrets, require, checkpoints } = trust;
  return {
    name,
    file: file.toString("latin1"),
    keys,
    secrets: Object.fromEntries(
      [...(secrets ?? [])].map(([id, secret]) => [id, Buffer.from(secret).toString("hex")]),
    ),
    ...(require === undefined ? {} : { require }),
    ...(checkpoints === undefined ? {} : { checkpoints }),
  };
}
