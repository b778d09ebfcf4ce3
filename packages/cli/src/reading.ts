/** Reading what people and programs wrote: files, strict JSON and lines, every fault at `file:line:column`. */
import { createReadStream } from "node:fs";
import { readFile, stat } from "node:fs/promises";
import type { Readable } from "node:stream";
import { fileURLToPath } from "node:url";
import { createGunzip } from "node:zlib";
import {
  GateError,
  type Json,
  JsonError,
  type JsonLimits,
  type JsonObject,
  parseStrictJson,
} from "@stepgate/core";

/** A file's text, which must be UTF-8. @throws GateError INVALID_INPUT, `file: reason`. */
export async function readText(file: string | URL): Promise<string> {
  return decodeText(await readBytes(file), fileName(file));
}

/** A file's bytes. @throws GateError INVALID_INPUT, `file: reason`. */
export function readBytes(file: string | URL): Promise<Uint8Array> {
  return readFile(file).catch((cause: unknown) => {
    throw unreadable(fileName(file), reasonOf(cause), cause);
  });
}

/** The name of a file as messages print it. */
export function fileName(file: string | URL): string {
  return typeof file === "string" ? file : fileURLToPath(file);
}

/** Bytes as text. @throws GateError INVALID_INPUT where they are not UTF-8. */
export function decodeText(bytes: Uint8Array, name: string): string {
  try {
    return UTF8.decode(bytes);
  } catch (cause) {
    throw unreadable(name, "is not UTF-8 text", cause);
  }
}

const UTF8 = new TextDecoder("utf-8", { fatal: true });

/**
 * JSON text to a value, strictly: duplicate members and integers that would lose digits are refused.
 *
 * @throws GateError INVALID_INPUT, `file:line:column: reason`. `line` is where the text begins in its file.
 */
export function readJson(text: string, name: string, line = 1, limits: JsonLimits = {}): Json {
  try {
    return parseStrictJson(text, limits);
  } catch (cause) {
    if (!(cause instanceof JsonError)) throw cause;
    const offset = text.length > MAX_POINTED_AT ? 0 : (cause.offset ?? 0);
    throw unreadable(`${name}:${position(text, offset, line)}`, cause.message, cause);
  }
}

/** Of a longer text the beginning must do: nobody looks for a column in it. */
const MAX_POINTED_AT = 1024 * 1024;

const CHUNK_BYTES = 1024 * 1024;

/** A file's bytes in chunks; of a `.gz` what it holds. @throws GateError INVALID_INPUT, `file: reason`. */
export async function* fileChunks(file: string): AsyncGenerator<Uint8Array> {
  try {
    const stored = createReadStream(file, { highWaterMark: CHUNK_BYTES });
    if (file.endsWith(".gz")) yield* unpacked(stored);
    else for await (const chunk of stored) yield chunk as Uint8Array;
  } catch (cause) {
    throw unreadable(file, reasonOf(cause), cause);
  }
}

/** How many bytes {@link fileChunks} will give, where that is known. */
export async function fileSize(file: string): Promise<number | undefined> {
  const found = file.endsWith(".gz") ? undefined : await stat(file).catch(() => undefined);
  return found?.isFile() === true && found.size > 0 ? found.size : undefined;
}

async function* unpacked(stored: Readable): AsyncGenerator<Uint8Array> {
  const gunzip = createGunzip({ chunkSize: CHUNK_BYTES });
  // `pipe` would lose the errors of the file.
  stored.on("error", (error) => gunzip.destroy(error)).pipe(gunzip);
  for await (const chunk of gunzip) yield chunk as Uint8Array;
}

/** A line of a stream, without its line feed, and its number from 1. */
export interface Line {
  readonly number: number;
  readonly bytes: Uint8Array;
}

/** Lines are far shorter; a longer one is a fault, so that no input can fill the memory. */
const MAX_LINE_BYTES = 4 * 1024 * 1024;

/** The lines of a stream of bytes; the last one may lack its line feed. @throws GateError INVALID_INPUT for a line too long. */
export async function* readLines(
  chunks: AsyncIterable<Uint8Array>,
  name: string,
): AsyncGenerator<Line> {
  let number = 0;
  let parts: Uint8Array[] = [];
  let length = 0;
  const take = (bytes: Uint8Array): Line => {
    const whole = parts.length === 0 ? bytes : Buffer.concat([...parts, bytes]);
    const line = { number: ++number, bytes: whole };
    parts = [];
    length = 0;
    return line;
  };
  for await (const chunk of chunks) {
    let from = 0;
    for (let end = chunk.indexOf(LINE_FEED); end >= 0; end = chunk.indexOf(LINE_FEED, from)) {
      yield take(chunk.subarray(from, end));
      from = end + 1;
    }
    parts.push(chunk.subarray(from));
    length += chunk.length - from;
    if (length > MAX_LINE_BYTES)
      throw unreadable(`${name}:${number + 1}:1`, `is longer than ${MAX_LINE_BYTES} bytes`);
  }
  if (length > 0) yield take(new Uint8Array(0));
}

const LINE_FEED = 0x0a;

/** What the file system says, in words. */
export function reasonOf(cause: unknown): string {
  const words = REASONS.get(errorCode(cause) ?? "");
  return words ?? (cause instanceof Error ? cause.message : String(cause));
}

const REASONS: ReadonlyMap<string, string> = new Map([
  ["ENOENT", "no such file or folder"],
  ["EACCES", "permission denied"],
  ["EISDIR", "is a folder"],
  ["ENOTDIR", "is not in a folder"],
]);

/** The code of a system error, such as `ENOENT`. */
export function errorCode(cause: unknown): string | undefined {
  return cause instanceof Error && "code" in cause && typeof cause.code === "string"
    ? cause.code
    : undefined;
}

/** A fault of an input. `where` is `file` or `file:line:column`. */
export function unreadable(where: string, reason: string, cause?: unknown): GateError {
  return new GateError("INVALID_INPUT", `${where}: ${reason}`, { cause });
}

/** `line:column` of a character, both from 1, columns in UTF-16 units. */
function position(text: string, offset: number, firstLine: number): string {
  const before = text.slice(0, offset);
  return `${firstLine + before.split("\n").length - 1}:${offset - before.lastIndexOf("\n")}`;
}

/** True for a JSON object. */
export function isObject(value: Json | undefined): value is JsonObject {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
