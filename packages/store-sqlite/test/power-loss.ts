/**
 * What a loss of power could leave of files, rebuilt from a trace of what was done to them. Until its file is synced, each
 * write is there, not there, or there in some of its sectors of 512 bytes, whatever came of those before and after it; after
 * a sync that failed it stays so for ever, until it is written again. What was made and removed in a folder is there up to
 * some moment since the folder was synced.
 */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Random } from "../../contract/src/seeded-random.ts";
import type { FileEvent } from "./write-trace.ts";

const SECTOR = 512;

interface Change {
  readonly event: Extract<FileEvent, { readonly call: "write" | "cut" }>;
  /** `lost`: a sync of it failed. */
  fate: "pending" | "durable" | "lost";
}

interface FileState {
  readonly changes: Change[];
}

/** The files as they stand after some events, with everything that may yet be lost. */
export interface Disk {
  apply(event: FileEvent): void;
  /** True where something was written that may be lost, but for the mark, which always may. */
  hasUnsynced(): boolean;
  /** Writes one of the states that a loss of power could leave now. */
  crashInto(folder: string, random: Random): void;
}

/** An empty folder. */
export function newDisk(): Disk {
  // Names as the process sees them, and the changes to the folder that were not synced, in their order.
  const names = new Map<string, FileState>();
  const durable = new Map<string, FileState>();
  let pending: { readonly name: string; readonly file: FileState | undefined }[] = [];

  function apply(event: FileEvent): void {
    const { file: name, call } = event;
    if (call === "sync" && name === "") {
      for (const { name: of, file } of pending) rename(durable, of, file);
      pending = [];
    } else if (call === "make" || call === "remove") {
      const file = call === "make" ? { changes: [] } : undefined;
      rename(names, name, file);
      pending.push({ name, file });
    } else {
      changeFile(names.get(name), event);
    }
  }

  function crashInto(folder: string, random: Random): void {
    const left = new Map(durable);
    const reached = Math.floor(random() * (pending.length + 1));
    for (const { name, file } of pending.slice(0, reached)) rename(left, name, file);
    const kept = howMuchIsKept(random);
    for (const [name, { changes }] of left)
      writeFileSync(join(folder, name), contentOf(changes, kept));
  }

  function hasUnsynced(): boolean {
    return [...names].some(
      ([name, { changes }]) =>
        !name.endsWith("-mark") && changes.some(({ fate }) => fate !== "durable"),
    );
  }

  return { apply, hasUnsynced, crashInto };
}

function rename(names: Map<string, FileState>, name: string, file: FileState | undefined): void {
  if (file === undefined) names.delete(name);
  else names.set(name, file);
}

function changeFile(file: FileState | undefined, event: FileEvent): void {
  if (file === undefined) return;
  if (event.call === "write" || event.call === "cut") {
    file.changes.push({ event, fate: "pending" });
  } else {
    const fate = event.call === "sync" ? "durable" : "lost";
    for (const change of file.changes) if (change.fate === "pending") change.fate = fate;
  }
}

/** Of a change that may be lost: none of it, all of it, or each sector as it comes. */
type Kept = () => "none" | "all" | "some";

/** Crashes differ in kind: nothing more came to the disk, nearly everything did, or anything. */
function howMuchIsKept(random: Random): Kept & { readonly random: Random } {
  const kind = random();
  const kept: Kept = () => {
    const one = random();
    if (kind < 0.2) return "none";
    if (kind < 0.4) return one < 0.8 ? "all" : "none";
    return one < 0.4 ? "all" : one < 0.7 ? "none" : "some";
  };
  return Object.assign(kept, { random });
}

function contentOf(changes: readonly Change[], kept: ReturnType<typeof howMuchIsKept>): Buffer {
  let content: Buffer = Buffer.alloc(0);
  for (const { event, fate } of changes) {
    const share = fate === "durable" ? "all" : kept();
    if (share === "none") continue;
    if (event.call === "cut") content = sized(content, event.offset);
    else content = written(content, event, share === "all" ? () => 0 : kept.random);
  }
  return content;
}

/** Each sector is written where the number drawn for it is below one half. */
function written(
  content: Buffer,
  { offset, bytes }: Extract<FileEvent, { readonly call: "write" }>,
  random: Random,
): Buffer {
  let result = content;
  for (let at = 0; at < bytes.length;) {
    const next = Math.min(bytes.length, at + SECTOR - ((offset + at) % SECTOR));
    if (random() < 0.5) {
      result = sized(result, Math.max(result.length, offset + next));
      bytes.copy(result, offset + at, at, next);
    }
    at = next;
  }
  return result;
}

/** Grown in steps, for logs grow write by write. */
function sized(content: Buffer, size: number): Buffer {
  if (size <= content.length) return content.subarray(0, size);
  const room = content.buffer.byteLength - content.byteOffset;
  if (size <= room) {
    const grown = Buffer.from(content.buffer, content.byteOffset, size);
    return grown.fill(0, content.length);
  }
  const larger = Buffer.from(new ArrayBuffer(Math.max(1 << 16, size * 2)), 0, size);
  content.copy(larger);
  return larger;
}
