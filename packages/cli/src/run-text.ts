/** Runs of calls as people read them. */
import { callText, type PolicyCall } from "@stepgate/policy";

/** Calls that are shown of a run at most. */
const MAX_SHOWN = 12;

/** The calls of a run in order; of one that is too long to read, both ends. */
export function runTexts(calls: readonly PolicyCall[]): readonly string[] {
  const texts = calls.map(callText);
  if (texts.length <= MAX_SHOWN) return texts;
  return [...texts.slice(0, 6), `… ${texts.length - 11} more …`, ...texts.slice(-5)];
}
