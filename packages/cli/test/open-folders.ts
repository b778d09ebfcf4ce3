/** A process of the test in key-folder.test.ts: opens folder after folder, and prints what keys it got. */
import { createHash } from "node:crypto";
import { join } from "node:path";
import { openKeyFolder } from "../src/key-folder.ts";

const [, , root = ".", count = "0"] = process.argv;
for (let n = 0; n < Number(count); n++) {
  const { signer, saltKey } = await openKeyFolder(join(root, `${n}`), Date.now());
  console.log(signer.keyId, createHash("sha256").update(saltKey).digest("hex"));
}
