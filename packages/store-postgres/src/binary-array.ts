/**
 * Arrays in PostgreSQL's binary form, which a driver sends as it is. As text every quote of a receipt would be escaped
 * here and read back there, a good part of what an append costs both.
 *
 * Form: `array_recv` of PostgreSQL's src/backend/utils/adt/arrayfuncs.c, and each type's own `recv`; big-endian.
 */

/** What stands in the place of a value that there is not. */
type Nullable<T> = T | null | undefined;

/** Dimensions, whether there are nulls (0: not said), the elements' type, their number, the first one's index. */
const HEADER_BYTES = 20;
const NULL_LENGTH = -1;
/** `pg_type.oid`, which are the same in every server. */
const OID = { bool: 16, int8: 20, int4: 23, text: 25 } as const;

/** A `text[]`. */
export function textArray(values: readonly Nullable<string>[]): Buffer {
  let room = HEADER_BYTES;
  for (const value of values) room += 4 + (value == null ? 0 : 3 * value.length);
  const bytes = header(OID.text, values.length, room);
  let at = HEADER_BYTES;
  for (const value of values) {
    const length = value == null ? NULL_LENGTH : bytes.write(value, at + 4);
    bytes.writeInt32BE(length, at);
    at += 4 + Math.max(length, 0);
  }
  return bytes.subarray(0, at);
}

/** A `bigint[]`, of whole numbers that a double holds exactly. */
export function bigintArray(values: readonly Nullable<number>[]): Buffer {
  return fixedArray(OID.int8, 8, values, (bytes, value, at) => {
    bytes.writeInt32BE(Math.floor(value / 2 ** 32), at);
    bytes.writeUInt32BE(value >>> 0, at + 4);
  });
}

/** An `integer[]`. */
export function integerArray(values: readonly Nullable<number>[]): Buffer {
  return fixedArray(OID.int4, 4, values, (bytes, value, at) => bytes.writeInt32BE(value, at));
}

/** A `boolean[]`. */
export function booleanArray(values: readonly Nullable<boolean>[]): Buffer {
  return fixedArray(OID.bool, 1, values, (bytes, value, at) => bytes.writeUInt8(Number(value), at));
}

function fixedArray<T>(
  oid: number,
  size: number,
  values: readonly Nullable<T>[],
  write: (bytes: Buffer, value: T, at: number) => void,
): Buffer {
  const bytes = header(oid, values.length, HEADER_BYTES + values.length * (4 + size));
  let at = HEADER_BYTES;
  for (const value of values) {
    const isNull = value === null || value === undefined;
    bytes.writeInt32BE(isNull ? NULL_LENGTH : size, at);
    if (!isNull) write(bytes, value, at + 4);
    at += isNull ? 4 : 4 + size;
  }
  return bytes.subarray(0, at);
}

function header(oid: number, count: number, room: number): Buffer {
  const bytes = Buffer.allocUnsafe(room);
  bytes.writeInt32BE(1, 0);
  bytes.writeInt32BE(0, 4);
  bytes.writeInt32BE(oid, 8);
  bytes.writeInt32BE(count, 12);
  bytes.writeInt32BE(1, 16);
  return bytes;
}
