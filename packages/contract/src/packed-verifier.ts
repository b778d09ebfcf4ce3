/** The verifier for browsers as it is packed: a page's program has types, bundles without anything of Node's, and verifies. */
import { execFileSync } from "node:child_process";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { bundleForBrowser } from "./browser-bundle.ts";

/** What somebody's page would do with a file that was dropped on it. */
const PROGRAM = `
import { importKeySet, verifyFile, type VerificationReport } from "@stepgate/core/verify";
export function verifyDropped(file: Blob, jwks: unknown): Promise<VerificationReport> {
  return verifyFile(file.stream(), { keys: importKeySet(jwks) });
}
`;

const VECTORS = new URL("../../core/test/vectors/", import.meta.url);

/** Checks a tarball of core. `run` runs a tool of the repository's; it and this throw what fails. */
export async function checkPackedVerifier(
  tarball: string,
  run: (command: string, args: readonly string[]) => void,
): Promise<void> {
  const folder = mkdtempSync(join(tarball, "..", "page-"));
  try {
    const core = join(folder, "node_modules/@stepgate/core");
    mkdirSync(core, { recursive: true });
    execFileSync("tar", ["-xzf", tarball, "-C", core, "--strip-components=1"]);
    const page = join(folder, "page.ts");
    writeFileSync(page, PROGRAM);
    run("tsc", [page, "--noEmit", "--strict", ...BUNDLER_TYPES]);
    const script = join(folder, "page.mjs");
    writeFileSync(script, await bundleForBrowser(page));
    await verifySound(script);
  } finally {
    rmSync(folder, { recursive: true });
  }
}

/** As a page's program is type-checked: no types of Node's, and those of libraries are looked at too. */
const BUNDLER_TYPES = [
  "--ignoreConfig",
  ...["--target", "es2024", "--lib", "es2024,dom", "--types", ""],
  ...["--module", "esnext", "--moduleResolution", "bundler", "--skipLibCheck", "false"],
];

async function verifySound(script: string): Promise<void> {
  const { verifyDropped } = (await import(pathToFileURL(script).href)) as {
    verifyDropped(file: Blob, jwks: unknown): Promise<{ readonly result: string }>;
  };
  const jwks: unknown = JSON.parse(readFileSync(new URL("keys.json", VECTORS), "utf8"));
  const { result } = await verifyDropped(
    new Blob([readFileSync(new URL("sound.jsonl", VECTORS))]),
    jwks,
  );
  if (result !== "sound") throw new Error(`the packed verifier finds the sound vectors ${result}`);
}
