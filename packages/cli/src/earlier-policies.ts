/** Policies that a log knows and this start was not given: sequences that began under them go on under them. */
import { type CompiledPolicy, LOG_CHAIN, type Receipt, type Store, warn } from "@stepgate/core";
import { parsePolicy } from "@stepgate/policy";

/**
 * Every policy that the chain `@log` tells of, but those that are given, from the normal forms that the store keeps. One that cannot be had is
 * left out, and its sequences are denied as POLICY_UNAVAILABLE.
 */
export async function earlierPolicies(
  store: Store,
  given: readonly CompiledPolicy[] = [],
): Promise<readonly CompiledPolicy[]> {
  const policies: CompiledPolicy[] = [];
  const known = new Set(given.map(({ digest }) => digest));
  for (const digest of digestsOf(await store.read(LOG_CHAIN, 0))) {
    if (known.has(digest)) continue;
    try {
      policies.push(compiled(digest, await store.document(digest)));
    } catch (cause) {
      warn(`policy ${digest} cannot be held, so its sequences are denied`, cause);
    }
  }
  return policies;
}

/** What the lines say is believed only so far as to look for a document, which its digest then proves. */
function digestsOf(lines: readonly string[]): ReadonlySet<string> {
  return new Set(
    lines.flatMap((line) => {
      const record = JSON.parse(line) as Receipt;
      return record.kind === "policy" ? [record.policy_digest] : [];
    }),
  );
}

function compiled(digest: string, normalForm: string | undefined): CompiledPolicy {
  if (normalForm === undefined) throw new Error("the store has no such document");
  const policy = parsePolicy(normalForm, { file: digest });
  if (policy.digest !== digest) throw new Error(`its document compiles to ${policy.digest}`);
  return policy;
}
