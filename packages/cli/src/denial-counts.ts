/** What a simulation denied, counted by sequence, code, rule and tool, for people. */
import { type Output, printable } from "./output.ts";
import { type PolicyFile, rulePlaces } from "./policy-file.ts";
import type { SimulatedCall } from "./simulated-calls.ts";

/** Counts as it is told. */
export interface DenialCounts {
  readonly calls: number;
  readonly denied: number;
  count(call: SimulatedCall): void;
  print(output: Output): Promise<void>;
}

/** Longer lists end in "and so many more": `--json` has them all. */
const MOST = 20;

/** Nothing counted yet. */
export function denialCounts(): DenialCounts {
  const sequences = new Map<string, number>();
  const codes = new Map<string, number>();
  const rules = new Map<string, number>();
  const tools = new Map<string, number>();
  let calls = 0;
  let denied = 0;
  const places = new Map<PolicyFile, ReturnType<typeof rulePlaces>>();

  function placed(policy: PolicyFile | undefined, rule: string): string {
    if (policy === undefined) return rule;
    const placeOf = places.get(policy) ?? rulePlaces(policy);
    places.set(policy, placeOf);
    const at = placeOf(rule);
    return at === undefined ? rule : `${rule} at ${at}`;
  }

  return {
    get calls() {
      return calls;
    },
    get denied() {
      return denied;
    },
    count(call) {
      const { sequence_id, answer } = call;
      calls++;
      const before = sequences.get(sequence_id) ?? 0;
      if (answer.decision === "ALLOW") return void sequences.set(sequence_id, before);
      denied++;
      sequences.set(sequence_id, before + 1);
      add(codes, answer.deny_code);
      add(rules, placed(call.policy, answer.rule));
      add(tools, call.tool ?? call.function ?? "no tool");
    },
    async print(output) {
      const touched = [...sequences.values()].filter((count) => count > 0).length;
      await list(output, "by sequence", sequences);
      await list(output, "by tool", tools);
      await list(output, "by rule", rules);
      await list(output, "by code", codes);
      const colour = denied > 0 ? "red" : "green";
      await output.say(
        `${calls} calls of ${sequences.size} sequences: ${output.paint(colour, `${denied} denied`)} in ${touched} sequences`,
      );
    },
  };
}

function add(counts: Map<string, number>, name: string): void {
  counts.set(name, (counts.get(name) ?? 0) + 1);
}

async function list(
  output: Output,
  title: string,
  counts: ReadonlyMap<string, number>,
): Promise<void> {
  const most = [...counts].filter(([, count]) => count > 0).sort(([, a], [, b]) => b - a);
  if (most.length === 0) return;
  await output.say(output.paint("bold", `denied ${title}`));
  for (const [name, count] of most.slice(0, MOST))
    await output.say(`${String(count).padStart(8)}  ${printable(name)}`);
  if (most.length > MOST) await output.say(`          and ${most.length - MOST} more`);
}
