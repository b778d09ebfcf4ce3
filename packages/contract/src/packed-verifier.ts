/** What browsers get as it is packed: programs of pages have types, bundle without anything of Node's, and verify. */
import { execFileSync } from "node:child_process";
import {
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { bundleForBrowser } from "./browser-bundle.ts";
import { SOUND_POLICY } from "./sound-receipts.ts";

const PACKAGES = new URL("../../", import.meta.url);
const VECTORS = new URL("core/test/vectors/", PACKAGES);

type Run = (command: string, args: readonly string[]) => void;

/** Checks a tarball of core. `run` runs a tool of the repository's; it and this throw what fails. */
export async function checkPackedVerifier(core: string, run: Run): Promise<void> {
  await checkPage({ core }, run);
}

/** Checks a tarball of the policy language, beside one of core. */
export async function checkPackedCompiler(core: string, policy: string, run: Run): Promise<void> {
  await checkPage({ core, policy }, run);
}

interface Tarballs {
  readonly core: string;
  readonly policy?: string;
}

async function checkPage({ core, policy }: Tarballs, run: Run): Promise<void> {
  const folder = mkdtempSync(join(core, "..", "page-"));
  try {
    unpack(core, folder, "core");
    if (policy !== undefined) {
      unpack(policy, folder, "policy");
      linkDependencies(folder, "policy");
    }
    const page = join(folder, "page.ts");
    writeFileSync(page, programOf(policy === undefined ? "core" : "policy"));
    run("tsc", [page, "--ignoreConfig", "--noEmit", "--strict", ...BUNDLER_TYPES]);
    writeFileSync(join(folder, "page.mjs"), await bundleForBrowser(page));
    verifySound(folder, policy === undefined ? VERIFY : VERIFY_UNDER);
  } finally {
    rmSync(folder, { recursive: true });
  }
}

function unpack(tarball: string, folder: string, name: string): void {
  const into = join(folder, "node_modules/@stepgate", name);
  mkdirSync(into, { recursive: true });
  execFileSync("tar", ["-xzf", tarball, "-C", into, "--strip-components=1"]);
}

/** What it depends on, as it is installed here; of the house's own only what is packed. */
function linkDependencies(folder: string, name: string): void {
  const installed = fileURLToPath(new URL(`${name}/node_modules`, PACKAGES));
  for (const entry of dependencyNames(installed)) {
    const link = join(folder, "node_modules", entry);
    mkdirSync(dirname(link), { recursive: true });
    symlinkSync(join(installed, entry), link);
  }
}

function dependencyNames(folder: string): readonly string[] {
  return readdirSync(folder)
    .filter((name) => !name.startsWith(".") && name !== "@stepgate")
    .flatMap((name) =>
      name.startsWith("@")
        ? readdirSync(join(folder, name)).map((one) => `${name}/${one}`)
        : [name],
    );
}

/** A README's own example for pages. */
function programOf(name: string): string {
  const readme = readFileSync(new URL(`${name}/README.md`, PACKAGES), "utf8");
  const [, section = ""] = readme.split("## In a browser");
  const [, program] = /```ts\n([\s\S]*?)```/.exec(section) ?? [];
  if (program === undefined) throw new Error(`${name}'s README shows no program for a browser`);
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

function verifySound(folder: string, program: string): void {
  const file = (name: string): string => fileURLToPath(new URL(name, VECTORS));
  const args = ["--input-type=module", "--eval", program, file("sound.jsonl"), file("keys.json")];
  const said = execFileSync(process.execPath, [...args, JSON.stringify(SOUND_POLICY)], {
    cwd: folder,
  }).toString();
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

const VERIFY_UNDER = `
import { openAsBlob, readFileSync } from "node:fs";
import { verifyUnder } from "./page.mjs";
const [, file, keys, text] = process.argv;
const policies = [new File([text], "policy.json")];
const { recomputed, result } = await verifyUnder(await openAsBlob(file), JSON.parse(readFileSync(keys, "utf8")), policies);
process.stdout.write(recomputed ? result : "without its policy");
`;
