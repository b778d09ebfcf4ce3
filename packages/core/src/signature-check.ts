/** How what verifies asks whether a signature holds: at once, or first all questions and then, with the answers, once more. */
import { type SignatureQuestion, verifyText, verifyTexts } from "#platform";
import type { TrustedKey } from "./key-set.ts";

/** Whether `signature`, `ed25519=` + 128 hex digits, is this key's over the UTF-8 text. */
export type SignatureCheck = (by: TrustedKey, input: string, signature: string) => boolean;

/** Answers at once. @throws GateError UNSUPPORTED in a browser, which has no synchronous verification. */
export const checkSignature: SignatureCheck = ({ key }, input, signature) =>
  verifyText(key, input, signature);

/**
 * A check that knows the answer to every question that `ask` asks. While it asks, each signature seems to hold, so that no
 * later question stays unasked: what it finds then means nothing, and is to be found again with the check that is returned.
 *
 * @throws GateError UNSUPPORTED where the platform cannot verify Ed25519. What `ask` throws is thrown.
 */
export async function askSignatures(
  ask: (seemsToHold: SignatureCheck) => void,
): Promise<SignatureCheck> {
  const questions = new Map<string, SignatureQuestion>();
  ask(({ key, jwk }, input, signature) => {
    questions.set(nameOf(jwk.x, input, signature), { key, input, signature });
    return true;
  });
  const answers = await verifyTexts([...questions.values()]);
  const answered = new Map([...questions.keys()].map((name, at) => [name, answers[at]]));
  return ({ jwk }, input, signature) => {
    const holds = answered.get(nameOf(jwk.x, input, signature));
    // INVARIANT: nothing holds that was not verified. Asking and reading went different ways here.
    if (holds === undefined) throw new Error("a signature was not asked for before it was needed");
    return holds;
  };
}

/** Neither a key nor a signature has a line feed in it, so that no two questions have one name. */
function nameOf(x: string, input: string, signature: string): string {
  return `${x}\n${signature}\n${input}`;
}
