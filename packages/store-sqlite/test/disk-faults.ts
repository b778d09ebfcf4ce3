/** Failures of the disk that a seed draws again. */
import { ERRNO } from "./file-layer.ts";
import { seededRandom } from "../../contract/src/seeded-random.ts";

/** What can fail, and how it does. */
const FAULTS: readonly (readonly [call: string, errno: number])[] = [
  ["write", ERRNO.EIO],
  ["write", ERRNO.ENOSPC],
  ["write", ERRNO.EROFS],
  ["sync", ERRNO.EIO],
  ["sync", ERRNO.ENOSPC],
  ["truncate", ERRNO.EIO],
];
/** After a failure the store opens the file again, which can fail too. */
const OPENING_FAULTS = ["", `,open:1:${ERRNO.EMFILE}:3`, `,open:1:${ERRNO.EROFS}:on`];
const MORE = ["0", "1", "5", "on"];

/** One failure: which call of those that follow, how, and for how long. As shim.c takes it. */
export function drawFault(seed: number): string {
  const random = seededRandom(seed ^ 0x5eed);
  const pick = <T>(from: readonly T[]): T => {
    const one = from[Math.floor(random() * from.length)];
    if (one === undefined) throw new Error("nothing to pick from");
    return one;
  };
  const [call, errno] = pick(FAULTS);
  const number = 1 + Math.floor(random() * (call === "write" ? 60 : 8));
  return `${call}:${number}:${errno}:${pick(MORE)}${pick(OPENING_FAULTS)}`;
}
