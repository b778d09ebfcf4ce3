/** What is bundled for a browser and answers cases there. */
import * as verify from "@stepgate/core/verify";
import { answerTo, type VerificationCase } from "./verification-case.ts";

/** The answers to these cases, in their order. */
export async function answersTo(cases: readonly VerificationCase[]): Promise<readonly string[]> {
  const answers: string[] = [];
  for (const one of cases) answers.push(await answerTo(verify, one));
  return answers;
}
