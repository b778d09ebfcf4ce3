/** `pnpm packages`: packs every published package and checks the tarballs as their users will get them. */
import { execFileSync } from "node:child_process";
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { checkPackedCompiler, checkPackedVerifier } from "./packed-verifier.ts";

const root = join(import.meta.dirname, "../../..");
const tarballs = mkdtempSync(join(tmpdir(), "stepgate-packages-"));
try {
  const packed = new Map<string, string>();
  for (const folder of publishedFolders()) {
    const tarball = pack(folder);
    packed.set(folder, tarball);
    run("publint", ["run", "--strict", tarball]);
    run("attw", ["--profile", "esm-only", tarball]);
    console.log(`${folder}: publint and attw accept it`);
  }
  const [core = "", policy = ""] = ["core", "policy"].map((folder) => packed.get(folder));
  await checkPackedVerifier(core, run);
  console.log("core: its verifier is for browsers");
  await checkPackedCompiler(core, policy, run);
  console.log("policy: its compiler is for browsers");
} finally {
  rmSync(tarballs, { recursive: true });
}

function publishedFolders(): readonly string[] {
  return readdirSync(join(root, "packages")).filter((folder) => {
    if (folder.includes(".")) return false;
    const manifest: unknown = JSON.parse(
      readFileSync(join(root, "packages", folder, "package.json"), "utf8"),
    );
    return typeof manifest === "object" && manifest !== null && !("private" in manifest);
  });
}

function pack(folder: string): string {
  const cwd = join(root, "packages", folder);
  const before = new Set(readdirSync(tarballs));
  execFileSync("pnpm", ["pack", "--pack-destination", tarballs], {
    cwd,
    stdio: ["ignore", "ignore", "inherit"],
  });
  const made = readdirSync(tarballs).find((file) => !before.has(file));
  if (made === undefined) throw new Error(`${folder}: nothing was packed`);
  return join(tarballs, made);
}

function run(command: string, args: readonly string[]): void {
  try {
    execFileSync(command, args, { cwd: root, stdio: ["ignore", "pipe", "pipe"] });
  } catch (error) {
    const { stdout, stderr } = error as { readonly stdout?: Buffer; readonly stderr?: Buffer };
    console.error(command, String(stdout ?? ""), String(stderr ?? ""));
    throw error;
  }
}
