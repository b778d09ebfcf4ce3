/** Writes the vectors of receipts into core's tests: `node packages/contract/src/write-receipt-vectors.ts`. */
import { mkdirSync, rmSync, writeFileSync } from "node:fs";
import { receiptVectors } from "./receipt-vectors.ts";

const folder = new URL("../../core/test/vectors/", import.meta.url);
const files = await receiptVectors();
rmSync(new URL("negative/", folder), { recursive: true, force: true });
mkdirSync(new URL("negative/", folder), { recursive: true });
for (const { path, bytes } of files) writeFileSync(new URL(path, folder), bytes);
