/** A compiled policy as YAML text, for people to go on from. */
import type { CompiledPolicy } from "@stepgate/core";

/** The policy of two environment variables as a file: the same contract, the same digest. Level 1 only. */
export function printPolicy(policy: CompiledPolicy): string {
  const functions = [...policy.functions.values()].map(
    ({ name, actions }) => `  ${scalar(name)}: [${[...actions].map(scalar).join(", ")}]`,
  );
  return `# From the environment: the order of the steps, and the action types that each function permits.
schema: stepgate.policy/1
id: ${scalar(policy.id)}
version: ${JSON.stringify(policy.version)}
sequence: ${order(policy.steps)}
functions:
${functions.join("\n")}

# Next: say what each tool of the agent stands for, and the gate decides on tools.
# tools:
#   get_application: { function: ${scalar(policy.steps[0] ?? "intake")}, action: CHECK_STATE }
`;
}

function order(steps: readonly string[]): string {
  return steps.length === 1 ? scalar(steps.join()) : steps.join(", ");
}

const PLAIN = /^[A-Za-z_][A-Za-z0-9_-]*$/;
/** Words that YAML 1.2 reads as something else than text. */
const RESERVED: ReadonlySet<string> = new Set(["true", "false", "null"]);

function scalar(text: string): string {
  return PLAIN.test(text) && !RESERVED.has(text.toLowerCase()) ? text : JSON.stringify(text);
}
