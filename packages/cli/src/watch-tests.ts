/** Plays tests again whenever a file that they are read from changes, until Ctrl-C. */
import { existsSync, watch } from "node:fs";
import { dirname } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { GateError } from "@stepgate/core";
import type { ExitCode, Output } from "./output.ts";
import { reasonOf, unreadable } from "./reading.ts";
import type { TestSources } from "./test-sources.ts";

/** Editors write a file in several steps, and save several files at once. */
const SETTLE_MS = 100;

/**
 * Plays, waits for a change, and plays again. Folders are watched and not files: editors put a new file in an old one's
 * place. Ends with 0 on SIGINT.
 *
 * @throws GateError where nothing can be found at first; later, when files may be half written, that is told and waited on.
 */
export async function watchTests(
  output: Output,
  find: () => Promise<TestSources>,
  play: (sources: TestSources) => Promise<ExitCode>,
): Promise<ExitCode> {
  const interruption = Promise.withResolvers<"interrupted">();
  const onInterrupt = (): void => interruption.resolve("interrupted");
  // Once: whoever presses Ctrl-C again during a long run wants out at once.
  process.once("SIGINT", onInterrupt);
  try {
    let seen = sightOf(await find());
    await replay(output, seen, play);
    for (;;) {
      const watching = watchFolders(seen.folders);
      try {
        // Looked at once the watching has begun, so that no change falls in between.
        const now = await look(find, seen);
        if (now.text !== seen.text) await replay(output, now, play);
        const isElsewhere = now.folders.join("\n") !== seen.folders.join("\n");
        seen = now;
        if (isElsewhere) continue;
        if ((await Promise.race([interruption.promise, watching.change])) === "interrupted")
          return 0;
        await delay(SETTLE_MS);
      } finally {
        watching.close();
      }
    }
  } finally {
    process.off("SIGINT", onInterrupt);
  }
}

/** What was found, or why nothing was. */
interface Sight {
  readonly found: TestSources | GateError;
  readonly folders: readonly string[];
  /** Differs where there is something else to play or to tell. */
  readonly text: string;
}

async function look(find: () => Promise<TestSources>, before: Sight): Promise<Sight> {
  try {
    return sightOf(await find());
  } catch (error) {
    if (!GateError.isInstance(error)) throw error;
    return { found: error, folders: before.folders, text: error.message };
  }
}

function sightOf(found: TestSources): Sight {
  return { found, folders: found.folders, text: JSON.stringify(found.files) };
}

async function replay(
  output: Output,
  { found }: Sight,
  play: (sources: TestSources) => Promise<ExitCode>,
): Promise<void> {
  await output.clear();
  try {
    if (found instanceof Error) throw found;
    await play(found);
  } catch (error) {
    if (!GateError.isInstance(error)) throw error;
    output.error(error.message);
  }
  await output.say(output.paint("dim", "watching for changes; Ctrl-C ends"));
}

/** Waits for the first change in some folders. */
function watchFolders(folders: readonly string[]): {
  readonly change: Promise<"changed">;
  close(): void;
} {
  const change = Promise.withResolvers<"changed">();
  const onChange = (): void => change.resolve("changed");
  const watchers = [...new Set(folders.map(nearest))].map((folder) => {
    try {
      // A watcher that fails has something to look at anew.
      return watch(folder, onChange).on("error", onChange);
    } catch (cause) {
      throw unreadable(folder, `cannot be watched: ${reasonOf(cause)}`, cause);
    }
  });
  return {
    change: change.promise,
    close() {
      for (const watcher of watchers) watcher.close();
    },
  };
}

/** A folder that is gone comes back in the one above it. */
function nearest(folder: string): string {
  return existsSync(folder) || dirname(folder) === folder ? folder : nearest(dirname(folder));
}
