/** The verifier for browsers as it is packed: a page's program has types, bundles without anything of Node's, and verifies. */
import { execFileSync } from "node:child_process";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { bundleForBrowser } from "./browser-bundle.ts";

const README = new URL("../../core/README.md", import.meta.url);
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
    writeFileSync(page, programOf(README));
    run("tsc", [page, "--ignoreConfig", "--noEmit", "--strict", ...BUNDLER_TYPES]);
    writeFileSync(join(folder, "page.mjs"), await bundleForBrowser(page));
    verifySound(folder);
  } finally {
    rmSync(folder, { recursive: true });
  }
}

/** The README's own example for pages. */
function programOf(readme: URL): string {
  const [, section = ""] = readFileSync(readme, "utf8").split("## In a browser");
  const [, program] = /```ts\n([\s\S]*?)```/.exec(section) ?? [];
  if (program === undefined) throw new Error("core's README shows no program for a browser");
  return program;
}

/** As a page's program is type-checked: no types of Node's, and those of libraries are looked at too. */
const BUNDLER_TYPES = Object.entries({
  target: "es2024",
  lib: "es2024,dom",
  types: "",
  module: "esnext",
  moduleResolution: "bundler",
  skipLibCheck: "false",
}).flatMap(([name, value]) => [`--${name}`, value]);

function verifySound(folder: string): void {
  const file = (name: string): string => fileURLToPath(new URL(name, VECTORS));
  const args = ["--input-type=module", "--eval", VERIFY, file("sound.jsonl"), file("keys.json")];
  const said = execFileSync(process.execPath, args, { cwd: folder }).toString();
  const result = said.split("\n").at(-1);
  if (result !== "sound") throw new Error(`the packed verifier finds the sound vectors ${result}`);
}

const VERIFY = `
import { openAsBlob, readFileSync } from "node:fs";
import { verifyDropped } from "./page.mjs";
const [, file, keys] = process.argv;
const { result } = await verifyDropped(await openAsBlob(file), JSON.parse(readFileSync(keys, "utf8")));
process.stdout.write(result);
`;
