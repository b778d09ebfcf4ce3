/** Rotates the keys of a folder, and is killed by the system at the nth call of the file system. */
import { sqliteStore } from "@stepgate/store-sqlite";
import { rotateKeys } from "../src/rotate-keys.ts";
import { onFailingDisk } from "./failing-disk.ts";

const [folder = "", store = "", nth = ""] = process.argv.slice(2);

function die(): never {
  process.kill(process.pid, "SIGKILL");
  // The signal is on its way; nothing more may be done until it comes.
  for (;;);
}

await onFailingDisk({ nth: Number(nth), when: "after", fail: die }, () =>
  rotateKeys(folder, { nowMs: Date.now(), overlapSeconds: 60, store: sqliteStore(store) }),
);
