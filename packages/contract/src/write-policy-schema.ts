/** What `@stepgate/policy` runs before it is packed: writes the JSON Schemas of policies and of files of tests, which editors read. */
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { policyJsonSchema, policyTestJsonSchema } from "@stepgate/policy";

const dist = join(import.meta.dirname, "../../policy/dist");
mkdirSync(dist, { recursive: true });
write("policy", policyJsonSchema());
write("policy-test", policyTestJsonSchema());

function write(name: string, schema: object): void {
  writeFileSync(join(dist, `${name}.schema.json`), `${JSON.stringify(schema, null, 2)}\n`);
}
