/**
 * Records as gates write them, taken in by one pass over the bytes of a line: plain ASCII, every member of its form, in
 * canonical order. A line that is not taken may be a record nevertheless, and is to be read in full.
 */
import { ascii, beginsWith, type Scan } from "./member-form.ts";
import { MEMBERS } from "./receipt.ts";
import { combinedFault, FORMS, isPlaced, KINDS } from "./receipt-form.ts";

/** A line that is a record in canonical form. */
export interface PlainRecord {
  readonly members: Readonly<Record<string, unknown>>;
  /** The canonical text of its body: the line without its authenticators. */
  readonly body: string;
}

/** The record of a line that is written plainly; `undefined` says nothing. */
export function plainRecord(bytes: Uint8Array): PlainRecord | undefined {
  const seen = scan(bytes);
  if (seen === undefined) return undefined;
  const text = decoder.decode(bytes);
  // Without escapes in the text there is nothing that JSON.parse could misread.
  const members = JSON.parse(text) as Record<string, unknown>;
  return isComplete(members, seen) ? { members, body: bodyOf(text, seen.cuts) } : undefined;
}

const decoder = new TextDecoder();

/** What a pass over a line saw. */
interface Seen {
  /** Which members stand there, as bits: the first 32, and the others. */
  readonly low: number;
  readonly high: number;
  /** Where authenticators and the commas after them begin and end, in turns. */
  readonly cuts: readonly number[];
}

function scan(bytes: Uint8Array): Seen | undefined {
  if (bytes[0] !== OPENING) return undefined;
  const cuts: number[] = [];
  let [low, high, at, next] = [0, 0, 1, 0];
  while (true) {
    next = Math.max(next, FIRST_OF[bytes[at + 1] ?? 0] ?? 0);
    let member = PLAIN[next];
    while (member !== undefined && !beginsWith(bytes, at, member.prefix)) member = PLAIN[++next];
    const end = member === undefined ? -1 : member.scan(bytes, at + member.prefix.length);
    if (member === undefined || end < 0) return undefined;
    low |= member.low;
    high |= member.high;
    if (bytes[end] !== COMMA)
      return bytes[end] === CLOSING && end + 1 === bytes.length && !member.cut
        ? { low, high, cuts }
        : undefined;
    if (member.cut) cuts.push(at, end + 1);
    at = end + 1;
    next++;
  }
}

const [OPENING, CLOSING, COMMA] = [0x7b, 0x7d, 0x2c] as const;

/** A member as a pass looks for it. */
interface PlainMember {
  readonly prefix: Uint8Array;
  readonly scan: Scan;
  readonly low: number;
  readonly high: number;
  readonly cut: boolean;
}

const AUTHENTICATORS: ReadonlySet<string> = new Set(["batch", "hmac_sig", "sig"]);
const PLAIN: readonly PlainMember[] = MEMBERS.map((name) => ({
  prefix: ascii(`"${name}":`),
  scan: FORMS[name]?.scan ?? (() => -1),
  ...bitsOf([name]),
  cut: AUTHENTICATORS.has(name),
}));
/** For each byte, the first member whose name begins so, or how many there are. */
const FIRST_OF = Uint8Array.from({ length: 256 }, (_, byte) => {
  const first = MEMBERS.findIndex((name) => name.charCodeAt(0) === byte);
  return first < 0 ? MEMBERS.length : first;
});
const KIND_BITS = new Map(
  [...KINDS].map(([kind, { required, allowed }]) => [
    kind,
    { required: bitsOf(required), allowed: bitsOf(allowed) },
  ]),
);

function bitsOf(names: Iterable<string>): { readonly low: number; readonly high: number } {
  let [low, high] = [0, 0];
  for (const name of names) {
    const index = MEMBERS.indexOf(name);
    if (index < 32) low |= 1 << index;
    else high |= 1 << (index - 32);
  }
  return { low, high };
}

/** Whether the members are those of their kind, and fit together. */
function isComplete(members: Record<string, unknown>, { low, high }: Seen): boolean {
  const bits = KIND_BITS.get(members["kind"]);
  if (bits === undefined) return false;
  const { required, allowed } = bits;
  if ((low & required.low) !== required.low || (high & required.high) !== required.high)
    return false;
  if ((low & ~allowed.low) !== 0 || (high & ~allowed.high) !== 0) return false;
  const { batch } = members;
  if (batch !== undefined && !isPlaced(batch as Record<string, unknown>)) return false;
  return combinedFault(members) === undefined;
}

function bodyOf(text: string, cuts: readonly number[]): string {
  let body = "";
  let from = 0;
  for (let i = 0; i < cuts.length; i += 2) {
    body += text.slice(from, cuts[i]);
    from = cuts[i + 1] ?? from;
  }
  return body + text.slice(from);
}
