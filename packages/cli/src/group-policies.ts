/** `--policy P|DIR`: one policy for all sequences, or `DIR/<group>.yaml` for those of a group. */
import { stat } from "node:fs/promises";
import { join } from "node:path";
import { type PolicyFile, readPolicyFile } from "./policy-file.ts";
import { errorCode } from "./reading.ts";

/** Finds the policy of a group; `undefined` where there is no file for it. @throws PolicyError, GateError INVALID_INPUT. */
export type GroupPolicies = (group: string | undefined) => Promise<PolicyFile | undefined>;

/** Policies by group. Each file is read once, when its group first appears. */
export async function groupPolicies(path: string): Promise<GroupPolicies> {
  if (!(await isFolder(path))) {
    const one = await readPolicyFile(path);
    return async () => one;
  }
  const read = new Map<string | undefined, Promise<PolicyFile | undefined>>();
  return (group) => {
    const known = read.get(group) ?? readGroup(path, group);
    read.set(group, known);
    return known;
  };
}

async function readGroup(
  folder: string,
  group: string | undefined,
): Promise<PolicyFile | undefined> {
  const file = group === undefined ? undefined : groupFile(folder, group);
  return file !== undefined && (await exists(file)) ? readPolicyFile(file) : undefined;
}

/** Where the policy of a group lies. A group comes from the file of calls: it names a file of this folder and of no other. */
export function groupFile(folder: string, group: string): string | undefined {
  return FILE_NAME.test(group) ? join(folder, `${group}.yaml`) : undefined;
}

const FILE_NAME = /^[^/\\\0]{1,200}$/;

async function isFolder(path: string): Promise<boolean> {
  return (await statOf(path))?.isDirectory() === true;
}

async function exists(path: string): Promise<boolean> {
  return (await statOf(path)) !== undefined;
}

function statOf(path: string) {
  return stat(path).catch((error: unknown) => {
    if (errorCode(error) === "ENOENT") return undefined;
    throw error;
  });
}
