/** One thing to verify, as JSON carries it to wherever it is to be verified, and the answer as JSON carries it back. */
import type * as core from "@stepgate/core";

/** A file, a checkpoint or a proof, and what its reader is given. */
export interface VerificationCase {
  readonly name: string;
  /** The file, each character a byte. */
  readonly file?: string;
  /** In bytes; default: the whole file. */
  readonly chunk?: number;
  /** A note to read as a checkpoint. */
  readonly checkpoint?: string;
  readonly proof?: { readonly of: string; readonly text: string };
  /** A JWKS. */
  readonly keys: unknown;
  /** In hex, by name. */
  readonly secrets?: Readonly<Record<string, string>>;
  readonly require?: "ed25519" | "hmac";
  readonly checkpoints?: readonly (string | core.KeptCheckpoint)[];
  /** Texts of policies, to recompute decisions by. */
  readonly policies?: readonly string[];
}

/** What verifies: `@stepgate/core`, or `@stepgate/core/verify` wherever it runs. */
export interface VerifierApi {
  readonly importKeySet: typeof core.importKeySet;
  /** From `@stepgate/policy`; only for cases with policies. */
  readonly parsePolicy?: (text: string) => core.CompiledPolicy;
  verifyFile(
    chunks: AsyncIterable<Uint8Array>,
    options: Parameters<typeof core.verifyFile>[1],
  ): Promise<core.VerificationReport>;
  readCheckpoint(
    note: string,
    keys: core.KeySet,
  ): ReturnType<typeof core.readCheckpoint> | Promise<ReturnType<typeof core.readCheckpoint>>;
  verifyProof(
    hash: string,
    proof: string,
    keys: core.KeySet,
  ): ReturnType<typeof core.verifyProof> | Promise<ReturnType<typeof core.verifyProof>>;
}

/** The answer as text: the whole report with what its callbacks were told, what was read, or the error's code and message. */
export async function answerTo(api: VerifierApi, one: VerificationCase): Promise<string> {
  try {
    return JSON.stringify(await verify(api, one));
  } catch (error) {
    const { code, message } = error as { readonly code?: unknown; readonly message?: unknown };
    return JSON.stringify({ code, message });
  }
}

async function verify(api: VerifierApi, one: VerificationCase): Promise<unknown> {
  const keys = api.importKeySet(one.keys);
  if (one.checkpoint !== undefined) return api.readCheckpoint(one.checkpoint, keys);
  if (one.proof !== undefined) return api.verifyProof(one.proof.of, one.proof.text, keys);
  const [bytes, told]: [number[], string[]] = [[], []];
  const report = await api.verifyFile(chunksOf(one.file ?? "", one.chunk), {
    keys,
    hmacKeys: Object.fromEntries(
      Object.entries(one.secrets ?? {}).map(([id, hex]) => [id, fromHex(hex)]),
    ),
    ...(one.require === undefined ? {} : { require: one.require }),
    ...(one.checkpoints === undefined ? {} : { checkpoints: one.checkpoints }),
    ...(one.policies === undefined ? {} : { policies: one.policies.map(policyReader(api)) }),
    record: (receipt, hash) => void told.push(`${receipt.kind} ${hash}`),
    progress: (read) => void bytes.push(read),
  });
  return { report, told, bytes };
}

function policyReader({ parsePolicy }: VerifierApi): (text: string) => core.CompiledPolicy {
  if (parsePolicy === undefined) throw new TypeError("this verifier has no policy language");
  return (text) => parsePolicy(text);
}

async function* chunksOf(file: string, size: number = file.length): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < file.length; at += size)
    yield Uint8Array.from(file.slice(at, at + size), (character) => character.charCodeAt(0));
}

function fromHex(hex: string): Uint8Array {
  return Uint8Array.from(hex.match(/../g) ?? [], (byte) => Number.parseInt(byte, 16));
}
