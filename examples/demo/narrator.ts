/** Tells the story as it happens: what was asked, what was decided and why, and whether anything ran. */
import { styleText } from "node:util";
import { type ActionInput, type Decision, enforce, type Gate } from "stepgate";
import { ran } from "./loan-desk.ts";

/** Deny codes in the order in which they were provoked. */
export const provoked = new Set<string>();

/** One line of prose. */
export function say(text: string): void {
  console.log(`\n${bold(text)}`);
}

/** The same gate, which tells what it decides; `who` asks. */
export function narrated(gate: Gate, who: string): Gate {
  const told: Gate = {
    ...gate,
    enforce: (input, action, options) => enforce(told, input, action, options),
    async decide(input) {
      const before = ran.length;
      const decision = await gate.decide(input);
      if (decision.decision === "DENY") {
        provoked.add(decision.deny_code);
        tell(who, input, decision, ran.length === before ? "did not run" : "RAN");
      }
      return decision;
    },
    async outcome(allow, note) {
      const { tool, function: fn = "", action_type = "", sequence_id } = allow.receipt;
      const call = tool === undefined ? { function: fn, action_type } : { tool };
      tell(who, { sequence_id, ...call }, allow, `ran: ${note.status}`);
      return gate.outcome(allow, note);
    },
  };
  return told;
}

function tell(who: string, input: ActionInput, decision: Decision, what: string): void {
  const call = input.tool ?? `${input.function}/${input.action_type}`;
  const answer = decision.decision === "ALLOW" ? green("ALLOW") : red(`DENY ${decision.deny_code}`);
  console.log(`  ${who.padEnd(9)} ${call.padEnd(18)} ${answer} · ${what}`);
  if (decision.decision === "DENY")
    console.log(`  ${"".padEnd(9)} ${dim(`└ ${decision.message}`)}`);
}

/** Colours only where somebody looks: `styleText` asks the stream and its environment. */
function bold(text: string): string {
  return styleText("bold", text, { stream: process.stdout });
}
function green(text: string): string {
  return styleText("green", text, { stream: process.stdout });
}
function red(text: string): string {
  return styleText("red", text, { stream: process.stdout });
}
function dim(text: string): string {
  return styleText("dim", text, { stream: process.stdout });
}
