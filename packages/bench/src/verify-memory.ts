/**
 * `pnpm bench:memory [--records N] [--at-once N]`: makes a file of so many receipts, has `stepgate verify` read it in a
 * process of its own, and tells what memory that took at most. A million records are 1.1 gigabytes; ten million by default.
 */
import { spawn } from "node:child_process";
import {
  createWriteStream,
  mkdtempSync,
  rmSync,
  statfsSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { exportKeySet, generateSigningKey } from "@stepgate/core";
import { manyReceipts } from "./many-receipts.ts";
import { machine } from "./print.ts";

const { values } = parseArgs({
  options: {
    records: { type: "string", default: "10000000" },
    "at-once": { type: "string", default: "1000" },
  },
});
const records = Number(values.records);
const atOnce = Number(values["at-once"]);
if (
  !(Number.isSafeInteger(records) && records >= 64 && Number.isSafeInteger(atOnce) && atOnce >= 64)
)
  throw new TypeError("--records and --at-once are whole numbers from 64 on");

/** Of the file and of what the verifier puts aside, in bytes. */
const BYTES_A_RECORD = 1500;
const folder = mkdtempSync(join(tmpdir(), "stepgate-memory-"));
try {
  const { bavail, bsize } = statfsSync(folder);
  if (bavail * bsize < records * BYTES_A_RECORD)
    throw new Error(`${folder} has no space for ${records} records; TMPDIR names another folder`);
  const key = generateSigningKey();
  const file = join(folder, "receipts.jsonl");
  const keys = join(folder, "keys.json");
  writeFileSync(keys, JSON.stringify(exportKeySet([key])));
  console.log(`Node ${machine().node}, ${machine().cores} × ${machine().cpu}`);
  await pipeline(Readable.from(manyReceipts({ records, atOnce, key })), createWriteStream(file));
  const gigabytes = (statSync(file).size / 1e9).toFixed(1);
  console.log(`${file}: ${gigabytes} GB, ${values["at-once"]} sequences at once`);
  const started = performance.now();
  const { code, stdout, peakMb } = await verified(["verify", file, "--keys", keys]);
  const seconds = (performance.now() - started) / 1000;
  console.log(stdout.trimEnd().split("\n").at(-1));
  const rate = Math.round(records / seconds).toLocaleString("en");
  console.log(`${seconds.toFixed(0)} s, ${rate} records a second, ${peakMb} MB at most`);
  if (code !== 0) throw new Error("the file was not sound");
} finally {
  rmSync(folder, { recursive: true, force: true });
}

/** Runs the command; its process tells its own peak on a pipe as it ends. */
async function verified(
  args: readonly string[],
): Promise<{ readonly code: number | null; readonly stdout: string; readonly peakMb: number }> {
  const main = fileURLToPath(new URL("../../cli/src/main.ts", import.meta.url));
  const tell = `import { writeSync } from "node:fs"; process.on("exit", () => writeSync(3, String(process.resourceUsage().maxRSS)));`;
  const hook = `data:text/javascript,${encodeURIComponent(tell)}`;
  const child = spawn(process.execPath, ["--import", hook, main, ...args], {
    stdio: ["ignore", "pipe", "inherit", "pipe"],
  });
  const [stdout, peak] = [child.stdio[1], child.stdio[3]].map(textOf);
  const code = await new Promise<number | null>((resolve, reject) => {
    child.on("error", reject).on("close", resolve);
  });
  return { code, stdout: (await stdout) ?? "", peakMb: Math.round(Number(await peak) / 1024) };
}

async function textOf(stream: unknown): Promise<string> {
  if (!(stream instanceof Readable)) throw new TypeError("a stream of the process is not there");
  const parts: Buffer[] = [];
  for await (const chunk of stream) parts.push(chunk as Buffer);
  return Buffer.concat(parts).toString();
}
