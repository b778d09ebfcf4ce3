/** A disk that fails from one call on, and leaves what a process leaves that was killed there: whole calls, none by halves. */
import fs from "node:fs";
import { syncBuiltinESMExports } from "node:module";

const CALLS = ["open", "link", "rename", "unlink", "mkdir", "readdir"] as const;

/** The nth call, from 1: `before` it is made nothing more is, `after` it nothing after it. */
export interface DiskFailure {
  readonly nth: number;
  readonly when: "before" | "after";
  /** What happens there instead of the calls' own result. */
  readonly fail: () => never;
}

/** Does the work on such a disk, and tells how many calls it made. The disk is sound again afterwards. */
export async function onFailingDisk(
  { nth, when, fail }: DiskFailure,
  work: () => Promise<unknown>,
): Promise<{ readonly calls: number; readonly failed: boolean }> {
  const real = { ...fs.promises };
  let calls = 0;
  const through =
    <A extends readonly unknown[], R>(call: (...args: A) => Promise<R>) =>
    async (...args: A): Promise<R> => {
      calls++;
      if (calls > nth || (calls === nth && when === "before")) return fail();
      const result = await call(...args);
      if (calls < nth) return result;
      if (isHandle(result)) await result.close();
      return fail();
    };
  for (const name of CALLS) Object.assign(fs.promises, { [name]: through(real[name] as never) });
  syncBuiltinESMExports();
  try {
    return await work().then(
      () => ({ calls, failed: false }),
      () => ({ calls, failed: true }),
    );
  } finally {
    for (const name of CALLS) Object.assign(fs.promises, { [name]: real[name] });
    syncBuiltinESMExports();
  }
}

function isHandle(result: unknown): result is fs.promises.FileHandle {
  return typeof result === "object" && result !== null && "close" in result;
}
