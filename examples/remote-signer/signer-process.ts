/**
 * The process that holds the key: `node signer-process.ts KEY_FILE SOCKET`. It makes the key on first use, prints the
 * public one, and signs what Stepgate signs and nothing else. Run it as a user whose files the gate cannot read.
 */
import { readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { createInterface } from "node:readline";
import { generateSigningKey, type SigningKey, signingKey } from "stepgate";

/** The first line of what a gate has signed: receipts, batches of them, and the proof of a new key. */
const SIGNS = /^stepgate\.(receipt|batch|key)\/1\n/;

const [keyFile = "signer-key.pem", path = "signer.sock"] = process.argv.slice(2);
const key = readKey(keyFile);

// What a process before this one left behind would be in the way.
rmSync(path, { force: true });
createServer((socket) => {
  const lines = createInterface({ input: socket });
  // Whoever asked is gone; another one may come.
  for (const emitter of [socket, lines]) emitter.on("error", () => socket.destroy());
  lines.on("line", (line) => {
    try {
      const { id, input } = JSON.parse(line) as { readonly id: number; readonly input: string };
      socket.write(`${JSON.stringify({ id, ...answerTo(Buffer.from(input, "base64")) })}\n`);
    } catch {
      socket.destroy();
    }
  });
}).listen(path, () => console.log(JSON.stringify(key.publicJwk)));

function answerTo(input: Buffer): { readonly signature: string } | { readonly refused: string } {
  if (!SIGNS.test(input.toString("utf8"))) return { refused: "this key signs receipts alone" };
  return { signature: Buffer.from(key.sign(input) as Uint8Array).toString("base64") };
}

function readKey(file: string): SigningKey {
  try {
    const pem = generateSigningKey().privateKey.export({ type: "pkcs8", format: "pem" });
    writeFileSync(file, pem, { mode: 0o600, flag: "wx" });
  } catch (error) {
    if (!(error instanceof Error && "code" in error && error.code === "EEXIST")) throw error;
  }
  return signingKey(readFileSync(file, "utf8"));
}
