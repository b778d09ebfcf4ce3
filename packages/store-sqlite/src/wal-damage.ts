/**
 * Damage inside a write-ahead log. SQLite reads it up to the first frame that does not fit and takes that for its end, so
 * that one bit would silently take every later commit with it. What stands behind the break tells: each commit is synced
 * before the next is written, so of two commits behind one break the first was acknowledged.
 *
 * Format: https://sqlite.org/fileformat2.html#walformat
 */
import { readFileSync } from "node:fs";
import { endianness } from "node:os";
import { GateError } from "@stepgate/core";
import { PAGE_BYTES } from "./schema.ts";

const HEADER_BYTES = 32;
const FRAME_HEADER_BYTES = 24;
/** Its last bit says in which order the machine that began the log had the bytes of a word. */
const BIG_ENDIAN_MAGIC = 0x377f0683;
/** What logs of this store have, where a damaged header does not say it: SQLite's own default before schema 5. */
const USUAL_PAGE_BYTES = [PAGE_BYTES, 4096];

/** How often a log that another process writes to is read again, for one reading is not of one moment. */
const READINGS = 5;
const PAUSE_MS = 20;

/** @throws GateError STORE_UNAVAILABLE where acknowledged commits stand behind damage; nothing was changed. */
export function mustHoldTogether(file: string): void {
  const wal = `${file}-wal`;
  for (let reading = 1; ; reading++) {
    const frame = breakBeforeCommits(readIfThere(wal));
    if (frame === undefined) return;
    if (reading === READINGS) throw damagedWal(wal, frame);
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, PAUSE_MS);
  }
}

/** The number of the first frame that does not fit, where acknowledged commits come after it; `undefined`: none is lost. */
export function breakBeforeCommits(wal: Buffer): number | undefined {
  const header = headerSum(wal);
  if (header === undefined)
    return USUAL_PAGE_BYTES.some((size) => hasTwoCommits(framesOf(wal, size), 0)) ? 0 : undefined;
  const frames = framesOf(wal, wal.readUInt32BE(8));
  let at = 0;
  for (let sum = header; at < frames.count && frames.fits(at, sum); at++) sum = frames.sumOf(at);
  if (at === frames.count) return undefined;
  return hasTwoCommits(frames, at) ? at : undefined;
}

/**
 * True where from `from` on some frames follow each other, whatever came before them, and end two transactions. Remains of
 * a transaction that was undone, and overwritten in part, do not: each of them ends one, and they do not fit each other.
 */
function hasTwoCommits(frames: Frames, from: number): boolean {
  let commits = 0;
  for (let at = from; at < frames.count; at++) {
    const follows = at > from && frames.fits(at, frames.sumOf(at - 1));
    commits = (follows ? commits : 0) + (frames.endsTransaction(at) ? 1 : 0);
    if (commits === 2) return true;
  }
  return false;
}

/** SQLite's checksum so far: two words of 32 bits. */
type Sum = readonly [number, number];

interface Frames {
  readonly count: number;
  /** True where this frame is the one that was written after a frame with this checksum. */
  fits(at: number, before: Sum): boolean;
  /** The checksum that stands in the frame. */
  sumOf(at: number): Sum;
  endsTransaction(at: number): boolean;
}

function framesOf(wal: Buffer, pageBytes: number): Frames {
  const isSound = headerSum(wal) !== undefined;
  const littleEndian = isSound ? isLittleEndian(wal) : endianness() === "LE";
  const bytes = FRAME_HEADER_BYTES + pageBytes;
  const start = (at: number): number => HEADER_BYTES + at * bytes;
  const word = (at: number, index: number): number => wal.readUInt32BE(start(at) + 4 * index);
  const count = Math.max(0, Math.floor((wal.length - HEADER_BYTES) / bytes));
  // A header that is damaged names no salts: then they are those of the first frame.
  const salts = saltsAt(wal, isSound ? 16 : start(0) + 8);
  const isOfThisLog = (at: number): boolean => saltsAt(wal, start(at) + 8) === salts;
  return {
    count,
    fits(at, before) {
      if (!isOfThisLog(at) || word(at, 0) === 0) return false;
      const head = checksum(wal.subarray(start(at), start(at) + 8), before, littleEndian);
      const page = wal.subarray(start(at) + FRAME_HEADER_BYTES, start(at + 1));
      const [first, second] = checksum(page, head, littleEndian);
      return first === word(at, 4) && second === word(at, 5);
    },
    sumOf: (at) => [word(at, 4), word(at, 5)],
    endsTransaction: (at) => isOfThisLog(at) && word(at, 1) !== 0,
  };
}

/** The checksum that frames go on from; `undefined` where the header is not whole. */
function headerSum(wal: Buffer): Sum | undefined {
  if (wal.length < HEADER_BYTES) return undefined;
  const [first, second] = checksum(wal.subarray(0, 24), [0, 0], isLittleEndian(wal));
  const stands = first === wal.readUInt32BE(24) && second === wal.readUInt32BE(28);
  return stands ? [first, second] : undefined;
}

function isLittleEndian(wal: Buffer): boolean {
  return wal.readUInt32BE(0) !== BIG_ENDIAN_MAGIC;
}

function saltsAt(wal: Buffer, offset: number): string {
  return wal.toString("latin1", offset, offset + 8);
}

function checksum(bytes: Buffer, [first, second]: Sum, littleEndian: boolean): Sum {
  const words = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  let one = first;
  let two = second;
  for (let at = 0; at < bytes.length; at += 8) {
    one = (one + words.getUint32(at, littleEndian) + two) >>> 0;
    two = (two + words.getUint32(at + 4, littleEndian) + one) >>> 0;
  }
  return [one, two];
}

function readIfThere(path: string): Buffer {
  try {
    return readFileSync(path);
  } catch (error) {
    if (error instanceof Error && "code" in error && error.code === "ENOENT")
      return Buffer.alloc(0);
    throw error;
  }
}

function damagedWal(wal: string, frame: number): GateError {
  return new GateError(
    "STORE_UNAVAILABLE",
    `the store's write-ahead log ${wal} is damaged at frame ${frame + 1}, with acknowledged commits behind it, which SQLite would drop: put back a copy of the log`,
  );
}
