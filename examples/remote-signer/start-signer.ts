/** Starts the signer's process. A real one is started by the system, under a user of its own. */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import type { PublicJwk } from "stepgate";

/** The process, and the public key that it signs with. */
export interface StartedSigner {
  readonly process: ChildProcess;
  readonly publicJwk: PublicJwk;
}

/** Resolves once it listens on `socket`. */
export async function startSigner(keyFile: string, socket: string): Promise<StartedSigner> {
  const script = fileURLToPath(new URL("./signer-process.ts", import.meta.url));
  const child = spawn(process.execPath, [script, keyFile, socket], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  const [line] = (await once(createInterface({ input: child.stdout }), "line")) as [string];
  return { process: child, publicJwk: JSON.parse(line) as PublicJwk };
}
