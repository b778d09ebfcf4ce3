/** What `@stepgate/policy` runs before it is packed: writes the JSON Schema of the language, which editors read. */
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { policyJsonSchema } from "@stepgate/policy";

const dist = join(import.meta.dirname, "../../policy/dist");
mkdirSync(dist, { recursive: true });
writeFileSync(join(dist, "policy.schema.json"), `${JSON.stringify(policyJsonSchema(), null, 2)}\n`);
