/** SHA-256 (FIPS 180-4) and HMAC over it (RFC 2104), for platforms that hash only asynchronously: WebCrypto has no other way. */

/** The 32 bytes of SHA-256 over a message. @throws RangeError from 512 MB on, where its length in bits takes more than 32. */
export function sha256Bytes(message: Uint8Array): Uint8Array<ArrayBuffer> {
  if (message.length >= 0x2000_0000) throw new RangeError("a message of 512 MB or more");
  const state = Int32Array.from(INITIAL);
  const whole = message.length - (message.length % BLOCK);
  for (let at = 0; at < whole; at += BLOCK) compress(state, message, at);
  const tail = paddedTail(message, whole);
  for (let at = 0; at < tail.length; at += BLOCK) compress(state, tail, at);
  return bigEndian(state);
}

/** The 32 bytes of HMAC-SHA-256 over a message. */
export function hmacSha256Bytes(secret: Uint8Array, message: Uint8Array): Uint8Array<ArrayBuffer> {
  const key = secret.length > BLOCK ? sha256Bytes(secret) : secret;
  const inner = sha256Bytes(joined(masked(key, 0x36), message));
  return sha256Bytes(joined(masked(key, 0x5c), inner));
}

/** In bytes. */
const BLOCK = 64;

/** Section 5.3.3: the first 32 bits of the fractional parts of the square roots of the first 8 primes. */
const INITIAL: readonly number[] = [
  0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a, 0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19,
];

/** Section 4.2.2: the same of the cube roots of the first 64 primes. */
const ROUND = Int32Array.from([
  0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
  0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
  0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
  0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
  0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
  0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
  0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
  0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2,
]);

/** Section 6.2.2 for the block at `at`, on 32-bit integers throughout; names are the standard's. */
function compress(state: Int32Array, bytes: Uint8Array, at: number): void {
  schedule(bytes, at);
  let a = state[0] ?? 0;
  let b = state[1] ?? 0;
  let c = state[2] ?? 0;
  let d = state[3] ?? 0;
  let e = state[4] ?? 0;
  let f = state[5] ?? 0;
  let g = state[6] ?? 0;
  let h = state[7] ?? 0;
  for (let t = 0; t < 64; t++) {
    const sum1 = rotate(e, 6) ^ rotate(e, 11) ^ rotate(e, 25);
    const choice = (e & f) ^ (~e & g);
    const t1 = (h + sum1 + choice + (ROUND[t] ?? 0) + (words[t] ?? 0)) | 0;
    const sum0 = rotate(a, 2) ^ rotate(a, 13) ^ rotate(a, 22);
    const majority = (a & b) ^ (a & c) ^ (b & c);
    h = g;
    g = f;
    f = e;
    e = (d + t1) | 0;
    d = c;
    c = b;
    b = a;
    a = (t1 + sum0 + majority) | 0;
  }
  // An Int32Array keeps the lower 32 bits of a sum, as the standard's addition does.
  state[0] = (state[0] ?? 0) + a;
  state[1] = (state[1] ?? 0) + b;
  state[2] = (state[2] ?? 0) + c;
  state[3] = (state[3] ?? 0) + d;
  state[4] = (state[4] ?? 0) + e;
  state[5] = (state[5] ?? 0) + f;
  state[6] = (state[6] ?? 0) + g;
  state[7] = (state[7] ?? 0) + h;
}

/** The message schedule. One for all blocks: it is written whole before it is read, and nothing waits between. */
const words = new Int32Array(64);

function schedule(bytes: Uint8Array, at: number): void {
  for (let t = 0, i = at; t < 16; t++, i += 4)
    words[t] =
      ((bytes[i] ?? 0) << 24) |
      ((bytes[i + 1] ?? 0) << 16) |
      ((bytes[i + 2] ?? 0) << 8) |
      (bytes[i + 3] ?? 0);
  for (let t = 16; t < 64; t++) {
    const w15 = words[t - 15] ?? 0;
    const w2 = words[t - 2] ?? 0;
    const sigma0 = rotate(w15, 7) ^ rotate(w15, 18) ^ (w15 >>> 3);
    const sigma1 = rotate(w2, 17) ^ rotate(w2, 19) ^ (w2 >>> 10);
    words[t] = (((words[t - 16] ?? 0) + sigma0) | 0) + (((words[t - 7] ?? 0) + sigma1) | 0);
  }
}

function rotate(x: number, n: number): number {
  return (x >>> n) | (x << (32 - n));
}

/** Section 5.1.1: what is left of the message, a 1 bit, zeros, and the length in bits as 64 bits. */
function paddedTail(message: Uint8Array, from: number): Uint8Array {
  const left = message.length - from;
  const tail = new Uint8Array(left < BLOCK - 8 ? BLOCK : 2 * BLOCK);
  tail.set(message.subarray(from));
  tail[left] = 0x80;
  new DataView(tail.buffer).setUint32(tail.length - 4, message.length * 8);
  return tail;
}

function bigEndian(state: Int32Array): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(4 * state.length);
  const view = new DataView(bytes.buffer);
  for (const [i, word] of state.entries()) view.setInt32(4 * i, word);
  return bytes;
}

function masked(key: Uint8Array, mask: number): Uint8Array {
  const block = new Uint8Array(BLOCK).fill(mask);
  for (const [i, byte] of key.entries()) block[i] = byte ^ mask;
  return block;
}

function joined(a: Uint8Array, b: Uint8Array): Uint8Array {
  const both = new Uint8Array(a.length + b.length);
  both.set(a);
  both.set(b, a.length);
  return both;
}
