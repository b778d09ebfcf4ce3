/** Which policies a branch changes, with their texts before and after. */
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { GateError } from "@stepgate/core";
import { checkPolicy, type PolicyCheck } from "@stepgate/policy";
import type { Git } from "./git.ts";
import { decodeText } from "./reading.ts";
import { isPolicyName, isTestName } from "./test-sources.ts";

/** A policy on one side of a comparison. */
export interface PolicySide {
  readonly file: string;
  readonly check: PolicyCheck;
}

/** A policy that differs. One that was moved has both sides; it is known again by its id. */
export type ChangedPolicy =
  | { readonly before: PolicySide; readonly after: PolicySide }
  | { readonly before: PolicySide; readonly after?: never }
  | { readonly before?: never; readonly after: PolicySide };

/** What of a repository is looked at. */
export interface PolicyFiles {
  /** Policies in the working tree. */
  readonly policies: readonly string[];
  /** Files of tests in the working tree. */
  readonly tests: readonly string[];
}

/** Also where the member `schema` itself is misspelt, as `stepgate test` finds policies in a folder. */
const POLICY = `[[:alnum:]_]["']?[[:space:]]*:[[:space:]]*["']?stepgate\\.policy/`;

/** Policies and files of tests that git knows under some pathspecs. */
export async function policyFiles(git: Git, paths: readonly string[]): Promise<PolicyFiles> {
  const tracked = names(await git.ask("ls-files", "-z", "--", ...paths));
  return { policies: await listPolicies(git, undefined, paths), tests: tracked.filter(isTestName) };
}

/** The policies that differ between a commit and the working tree at `root`. */
export async function changedPolicies(
  git: Git,
  root: string,
  base: string,
  paths: readonly string[],
): Promise<readonly ChangedPolicy[]> {
  const before = await texts(await listPolicies(git, base, paths), (file) =>
    git.ask("cat-file", "blob", `${base}:./${file}`),
  );
  const after = await texts(await listPolicies(git, undefined, paths), async (file) =>
    decodeText(await readFile(join(root, file)), file),
  );
  for (const [file, text] of before)
    if (after.get(file) === text) {
      before.delete(file);
      after.delete(file);
    }
  return paired([...before].map(toSide), [...after].map(toSide));
}

async function listPolicies(
  git: Git,
  commit: string | undefined,
  paths: readonly string[],
): Promise<readonly string[]> {
  const tree = commit === undefined ? [] : [commit];
  const found = await git.find("grep", "-zlIE", "-e", POLICY, ...tree, "--", ...paths);
  return names(found ?? "")
    .map((name) => (commit === undefined ? name : name.slice(commit.length + 1)))
    .filter((name) => isPolicyName(name) && !isTestName(name));
}

function names(output: string): readonly string[] {
  return output.split("\0").filter((name) => name !== "");
}

async function texts(
  files: readonly string[],
  read: (file: string) => Promise<string>,
): Promise<Map<string, string>> {
  const found = new Map<string, string>();
  for (const file of files) found.set(file, await read(file));
  return found;
}

function toSide([file, text]: readonly [string, string]): PolicySide {
  return { file, check: checkPolicy(text, { file }) };
}

/** Of one file, or else of one id. */
function paired(
  before: readonly PolicySide[],
  after: readonly PolicySide[],
): readonly ChangedPolicy[] {
  const left = new Set(before);
  const take = (is: (side: PolicySide) => boolean): PolicySide | undefined => {
    const found = [...left].find(is);
    if (found !== undefined) left.delete(found);
    return found;
  };
  const sameFile = new Map(after.map((side) => [side, take(({ file }) => file === side.file)]));
  const changed = after.map((side): ChangedPolicy => {
    const id = side.check.policy?.id;
    const earlier =
      sameFile.get(side) ??
      (id === undefined ? undefined : take(({ check }) => check.policy?.id === id));
    return earlier === undefined ? { after: side } : { before: earlier, after: side };
  });
  return [...changed, ...[...left].map((side) => ({ before: side }))];
}

/** The commit to compare with: where the branch left `ref`, so that what `ref` did since is not taken for the branch's. */
export async function baseCommit(git: Git, ref: string): Promise<string> {
  const commit =
    (await commitOf(git, ref)) ??
    (await commitOf(git, `origin/${ref}`)) ??
    (await fetched(git, ref));
  // A shallow clone does not reach back so far; then the commit itself must do.
  return (await git.find("merge-base", commit, "HEAD"))?.trim() ?? commit;
}

async function commitOf(git: Git, name: string): Promise<string | undefined> {
  const found = await git.find(
    "rev-parse",
    "--verify",
    "--quiet",
    "--end-of-options",
    `${name}^{commit}`,
  );
  return found?.trim();
}

async function fetched(git: Git, ref: string): Promise<string> {
  const shallow = (await git.ask("rev-parse", "--is-shallow-repository")).trim() === "true";
  const depth = shallow ? ["--depth=1"] : [];
  try {
    await git.ask("fetch", "--quiet", "--no-tags", ...depth, "--end-of-options", "origin", ref);
  } catch (cause) {
    if (!GateError.isInstance(cause)) throw cause;
    const way = "check it out too, with `fetch-depth: 0`";
    throw new GateError(
      "INVALID_INPUT",
      `base '${ref}' is not in this clone (${way}): ${cause.message}`,
      { cause },
    );
  }
  return (await git.ask("rev-parse", "FETCH_HEAD")).trim();
}
