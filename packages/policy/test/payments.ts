/** The example of policy.md, Level 2, word for word, as it stands among the golden vectors. */
import { readFileSync } from "node:fs";
import { parse } from "yaml";

const vectors = parse(
  readFileSync(new URL("vectors/identity.yaml", import.meta.url), "utf8"),
) as readonly {
  readonly name: string;
  readonly spellings: readonly { readonly text?: string }[];
}[];

/** The text of the policy. */
export const PAYMENTS: string =
  vectors.find(({ name }) => name.startsWith("the example of the page"))?.spellings[0]?.text ?? "";
