/** A CRC-32 over a row: a bit that fell over on the disk must not come back as what was written. It proves nothing. */
import { crc32 } from "node:zlib";

/** Of the columns of a row, in one order; `null` for a nonce that there is not. Every one keeps its bounds. */
export function rowChecksum(...columns: readonly (string | number | null)[]): number {
  return crc32(columns.map((column) => (column === null ? "-" : `+${column}`)).join("\0"));
}

/** What stands in a row of `record`, as SQLite gives it. */
type RecordRow = Readonly<Record<string, unknown>>;

/** True where a row of `record` is what was written, or was written before there were checksums. */
export function isIntact({ crc, sequence_id, seq, nonce, line }: RecordRow): boolean {
  if (crc === null || crc === undefined) return true;
  const burnt = nonce === null ? null : String(nonce);
  return crc === rowChecksum(String(sequence_id), Number(seq), burnt, String(line));
}
