/** The loan desk: what the tools really do. It writes down what ran, so that the story can be checked against it. */
import { z } from "zod";

/** Everything that ran, in order. */
export const ran: string[] = [];

/** What every tool of the desk takes. */
export const loanInput = z.object({ application: z.string(), amount: z.number().optional() });
/** Arguments of one call. */
export type LoanInput = z.infer<typeof loanInput>;

/** What each tool is for, as a model would be told. */
export const descriptions = {
  read_application: "Read a loan application.",
  check_disruptions: "Look for events that disrupt the applicant's income.",
  check_stability: "Check how stable the account is.",
  read_account: "Read the state of the account.",
  assess_risk: "Assess the risk of the loan.",
  pay_out: "Pay the loan out.",
  delete_customer: "Delete a customer and everything about them.",
} as const;
/** A tool that a model may be offered. */
export type DeskTool = keyof typeof descriptions;

/** One call that a scripted model makes. */
export interface ScriptedCall {
  readonly id: string;
  readonly name: DeskTool;
  readonly args: LoanInput;
}

/** What a scripted model says: these tools one after another, for one application. Ids are unique, as a provider's are. */
export function scriptCalls(
  application: string,
  script: readonly (readonly [tool: DeskTool, amount?: number])[],
): readonly ScriptedCall[] {
  return script.map(([name, amount]) => ({
    id: `call_${crypto.randomUUID()}`,
    name,
    args: amount === undefined ? { application } : { application, amount },
  }));
}

/** Does the work of one tool. */
export function work(tool: string, { application, amount }: LoanInput): string {
  ran.push(tool);
  return `${tool} of ${application}${amount === undefined ? "" : `: ${amount} EUR`} done`;
}
