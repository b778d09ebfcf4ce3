/** The gate's side: a `Signer` that asks another process over a socket. A KMS or an HSM fits behind the same few lines. */
import { createPublicKey, verify } from "node:crypto";
import { connect } from "node:net";
import { createInterface } from "node:readline";
import type { PublicJwk, PublishedSigner } from "stepgate";

/** Longer than the gate waits: an answer that is this late serves nobody, in milliseconds. */
const PATIENCE_MS = 2_000;

/**
 * Signs with the key behind `path`. Where that process is gone `sign` rejects, and the gate denies; the next call
 * connects anew, so that a process that comes back is used again.
 */
export function remoteSigner(
  path: string,
  publicJwk: PublicJwk,
): PublishedSigner & { close(): void } {
  const { kty, crv, x, kid } = publicJwk;
  const key = createPublicKey({ key: { kty, crv, x }, format: "jwk" });
  let line: Line | undefined;
  return {
    keyId: kid,
    publicJwk,
    async sign(input) {
      const mine = (line ??= openLine(path, () => (line = undefined)));
      const signature = await mine.ask(input);
      // Whoever answers there now: what others could not verify is no receipt.
      if (!verify(null, input, key, signature)) throw new Error("signed with another key");
      return signature;
    },
    close: () => line?.close(),
  };
}

interface Line {
  ask(input: Uint8Array): Promise<Uint8Array>;
  close(): void;
}

function openLine(path: string, gone: () => void): Line {
  const socket = connect(path);
  const waiting = new Map<number, PromiseWithResolvers<Uint8Array>>();
  let asked = 0;
  const lines = createInterface({ input: socket });
  lines.on("line", (text) => {
    const { id, signature } = readAnswer(text);
    if (id === undefined) socket.destroy();
    else if (signature === undefined) waiting.get(id)?.reject(new Error("the signer refused"));
    else waiting.get(id)?.resolve(Buffer.from(signature, "base64"));
  });
  // Every error is followed by `close`.
  for (const emitter of [socket, lines]) emitter.on("error", () => {});
  socket.on("close", () => {
    gone();
    for (const { reject } of waiting.values()) reject(new Error("the signer is gone"));
  });
  return {
    ask(input) {
      const id = ++asked;
      const answer = Promise.withResolvers<Uint8Array>();
      waiting.set(id, answer);
      const timer = setTimeout(() => socket.destroy(), PATIENCE_MS);
      socket.write(`${JSON.stringify({ id, input: Buffer.from(input).toString("base64") })}\n`);
      return answer.promise.finally(() => {
        clearTimeout(timer);
        waiting.delete(id);
      });
    },
    close: () => void socket.destroy(),
  };
}

/** What the other process wrote; without an `id` it is no answer. */
function readAnswer(text: string): { readonly id?: number; readonly signature?: string } {
  try {
    const answer: unknown = JSON.parse(text);
    const { id, signature } = Object(answer) as Record<string, unknown>;
    return {
      ...(typeof id === "number" ? { id } : {}),
      ...(typeof signature === "string" ? { signature } : {}),
    };
  } catch {
    return {};
  }
}
