/** Files that are there whole or not at all, and survive a power cut. */
import { randomBytes } from "node:crypto";
import { link, open, realpath, rename, stat, unlink } from "node:fs/promises";
import { dirname } from "node:path";

/** Makes a file at once, unless something of its name is there. @throws the file system's error, EEXIST among them. */
export async function createDurably(file: string, mode: number, content: string): Promise<void> {
  await throughDraft(file, mode, content, (draft) => link(draft, file));
}

/** Gives a file other content at once, and leaves its mode; through a link, what the link leads to. */
export async function replaceDurably(path: string, content: string): Promise<void> {
  const file = await realpath(path);
  const { mode } = await stat(file);
  await throughDraft(file, mode & 0o7777, content, (draft) => rename(draft, file));
}

async function throughDraft(
  file: string,
  mode: number,
  content: string,
  settle: (draft: string) => Promise<void>,
): Promise<void> {
  const draft = `${file}.${randomBytes(8).toString("hex")}.tmp`;
  try {
    await write(draft, mode, content);
    await settle(draft);
    await syncFolder(dirname(file));
  } finally {
    // Nothing is left of it after a rename.
    await unlink(draft).catch(() => undefined);
  }
}

async function write(file: string, mode: number, content: string): Promise<void> {
  const handle = await open(file, "wx", mode);
  try {
    // What `open` was asked for is narrowed by the process's umask; auditors must be able to read a public key set.
    await handle.chmod(mode);
    await handle.writeFile(content);
    await handle.sync();
  } finally {
    await handle.close();
  }
}

/** A key that a power cut took back would leave receipts that nobody can verify. */
async function syncFolder(folder: string): Promise<void> {
  if (process.platform === "win32") return;
  const handle = await open(folder, "r");
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}
