/** Which policies and files of tests some paths stand for, and everything of them that is read. */
import { readdir, stat } from "node:fs/promises";
import { dirname, isAbsolute, join, resolve } from "node:path";
import { GateError } from "@stepgate/core";
import { checkPolicyTests, type PolicyTestCheck } from "@stepgate/policy";
import { readText, reasonOf, unreadable } from "./reading.ts";

/** A policy with tests of its own, or a file of tests for one. */
export type TestSource =
  | { readonly kind: "policy"; readonly file: string; readonly text: string }
  | {
      readonly kind: "tests";
      readonly file: string;
      readonly text: string;
      readonly check: PolicyTestCheck;
      /** The policy that it names, or why that cannot be read. Absent where it names none. */
      readonly policy?: NamedPolicy;
    };

/** A policy's file, from where the program runs, and what is in it. */
type NamedPolicy = { readonly file: string } & (
  | { readonly text: string }
  | { readonly fault: string }
);

/** What paths stand for. */
export interface TestSources {
  /** Each file once, in the order of the paths, folders by name. */
  readonly files: readonly TestSource[];
  /** Folders in which a change may change the files. */
  readonly folders: readonly string[];
}

/**
 * A folder stands for every policy and every `*.policy-test.yaml` at any depth; a policy for itself and the files of
 * tests beside it that name it; a file of tests for itself.
 *
 * @throws GateError INVALID_INPUT for what cannot be read.
 */
export async function findTestSources(paths: readonly string[]): Promise<TestSources> {
  const found: Found = { files: new Map(), folders: new Set() };
  for (const path of paths) {
    const stats = await stat(path).catch((cause: unknown) => {
      throw unreadable(path, reasonOf(cause), cause);
    });
    if (stats.isDirectory()) await addFolder(path, found);
    else await addNamed(path, found);
  }
  return { files: [...found.files.values()], folders: [...found.folders] };
}

interface Found {
  /** By absolute path. */
  readonly files: Map<string, TestSource>;
  readonly folders: Set<string>;
}

/** Whether a file of this name can be a policy, or a file of tests. */
export function isPolicyName(name: string): boolean {
  return /\.(?:ya?ml|json)$/.test(name);
}

/** Whether a file of this name holds tests. */
export function isTestName(name: string): boolean {
  return /\.policy-test\.(?:ya?ml|json)$/.test(name);
}

/** Also where the member `schema` itself is misspelt: such a policy must be reported, not passed over. */
const POLICY = /\w["']?\s*:\s*["']?stepgate\.policy\//;
/** Larger files are no policies: the language refuses them. */
const MAX_BYTES = 4 * 1_048_576;

async function addFolder(folder: string, found: Found): Promise<void> {
  found.folders.add(resolve(folder));
  const entries = await readdir(folder, { withFileTypes: true }).catch((cause: unknown) => {
    throw unreadable(folder, reasonOf(cause), cause);
  });
  for (const entry of entries.toSorted((a, b) => (a.name < b.name ? -1 : 1))) {
    const path = join(folder, entry.name);
    if (entry.isDirectory()) {
      if (entry.name !== "node_modules" && !entry.name.startsWith("."))
        await addFolder(path, found);
    } else if (isPolicyName(entry.name)) await addIfPolicy(path, found);
  }
}

async function addIfPolicy(path: string, found: Found): Promise<void> {
  const stats = await stat(path).catch(() => undefined);
  // A link that leads nowhere, a folder behind a link, a device.
  if (stats?.isFile() !== true) return;
  if (isTestName(path)) return add(await readTests(path), found);
  if (stats.size > MAX_BYTES) return;
  const text = await readText(path).catch(() => "");
  if (POLICY.test(text)) add({ kind: "policy", file: path, text }, found);
}

/** A file that was asked for by name is read as what it says to be. */
async function addNamed(path: string, found: Found): Promise<void> {
  found.folders.add(resolve(dirname(path)));
  if (isTestName(path)) return add(await readTests(path), found);
  add({ kind: "policy", file: path, text: await readText(path) }, found);
  for (const name of (await readdir(dirname(path))).toSorted()) {
    if (!isTestName(name)) continue;
    const beside = await readTests(join(dirname(path), name));
    // Of a file that does not even say which policy it is about, it is safer to complain.
    if (beside.policy === undefined || resolve(beside.policy.file) === resolve(path))
      add(beside, found);
  }
}

async function readTests(file: string): Promise<TestSource & { readonly kind: "tests" }> {
  const text = await readText(file);
  const check = checkPolicyTests(text);
  const source = { kind: "tests", file, text, check } as const;
  return check.policy === undefined
    ? source
    : { ...source, policy: await readPolicy(file, check.policy) };
}

/** `name` is a path from the folder of the file of tests. */
async function readPolicy(testFile: string, name: string): Promise<NamedPolicy> {
  const file = isAbsolute(name) ? name : join(dirname(testFile), name);
  try {
    return { file, text: await readText(file) };
  } catch (error) {
    if (!GateError.isInstance(error)) throw error;
    return { file, fault: error.message };
  }
}

function add(source: TestSource, found: Found): void {
  found.files.set(resolve(source.file), source);
  if (source.kind === "tests" && source.policy !== undefined)
    found.folders.add(dirname(resolve(source.policy.file)));
}
