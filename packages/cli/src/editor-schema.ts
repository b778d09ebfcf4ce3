/** Where editors find the JSON Schema of the language, for a policy in a folder. */
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { access } from "node:fs/promises";
import { policyJsonSchema } from "@stepgate/policy";
import { DEFAULT_KEYS } from "./open-gate.ts";
import { reasonOf, unreadable } from "./reading.ts";

/** The line by which the YAML language server finds the schema of a file. */
export function modeline(reference: string): string {
  return `# yaml-language-server: $schema=${reference}`;
}

/** A schema that a policy refers to. */
interface PlacedSchema {
  /** Relative to the policy. */
  readonly reference: string;
  /** The files that `write` makes, relative to the folder. */
  readonly made: readonly string[];
  write(): Promise<void>;
}

/** The installed package brings its schema, which stays the one of its version. Without one it lies beside the keys. */
export async function placeSchema(folder: string): Promise<PlacedSchema> {
  const installed = await access(join(folder, INSTALLED)).then(
    () => true,
    () => false,
  );
  if (installed) return { reference: `./${INSTALLED}`, made: [], write: async () => undefined };
  const file = join(folder, BESIDE);
  return {
    reference: `./${BESIDE}`,
    made: [BESIDE],
    // Nobody edits it: another one there is only older.
    write: () =>
      writeFile(file, `${JSON.stringify(policyJsonSchema(), null, 2)}\n`).catch(
        (cause: unknown) => {
          throw unreadable(file, reasonOf(cause), cause);
        },
      ),
  };
}

const INSTALLED = "node_modules/@stepgate/policy/dist/policy.schema.json";
const BESIDE = `${DEFAULT_KEYS}/policy.schema.json`;
