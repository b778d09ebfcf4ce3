/** What is bundled for a browser, and there compiles policies and recomputes decisions under them. */
import * as verify from "@stepgate/core/verify";
import * as language from "@stepgate/policy/compile";
import { policyAnswer, type PolicyCase } from "./policy-answer.ts";
import { answerTo, type VerificationCase } from "./verification-case.ts";

/** The answers to these cases, in their order. */
export async function answersUnder(cases: readonly VerificationCase[]): Promise<readonly string[]> {
  const answers: string[] = [];
  for (const one of cases) answers.push(await answerTo({ ...verify, ...language }, one));
  return answers;
}

/** What becomes of these policies, in their order. */
export function policyAnswers(cases: readonly PolicyCase[]): readonly string[] {
  return cases.map((one) => policyAnswer(language, one));
}
