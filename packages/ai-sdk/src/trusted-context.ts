/** What the application vouches for reaches the sequence before its first decision, and again where it has changed. */
import {
  type Agent,
  canonicalize,
  type Context,
  type Gate,
  parseStrictJson,
  vouch,
} from "@stepgate/core";

/** What presenting context needs of a gate. */
export type ContextGate = Pick<Gate, "open" | "addContext" | "state">;

/** The `context` option: a value, or a function that is asked at every decision. */
export type ContextSource = Context | (() => Context | undefined) | undefined;

/** How many sequences are remembered as presented; forgetting one costs a read, nothing else. */
const REMEMBERED = 1000;

interface Presented {
  readonly text: string;
  readonly done: Promise<void>;
}

/**
 * Presents a context, as canonical text: opens the sequence with it, or adds it on a later turn; equal content is
 * presented once. Rejects where the gate refuses, and the next call tries again.
 */
export function createPresenter(
  gate: ContextGate,
): (sequenceId: string, agent: Agent, text: string | undefined) => Promise<void> {
  const presented = new Map<string, Presented>();
  return async (sequenceId, agent, text) => {
    if (text === undefined) return;
    const known = presented.get(sequenceId);
    if (known?.text === text) return known.done;
    // A context that was canonicalised is an object.
    const context = parseStrictJson(text) as Context;
    const done = after(known?.done, () => vouch(gate, sequenceId, agent, context));
    remember(presented, sequenceId, { text, done });
    return done;
  };
}

/** The canonical text of the context now; a constant is copied at once. @throws TypeError for a constant that is no JSON. */
export function contextReader(context: ContextSource): () => string | undefined {
  if (typeof context === "function") {
    return () => {
      const now = context();
      return now === undefined ? undefined : canonicalize(now);
    };
  }
  if (context === undefined) return () => undefined;
  const text = canonicalText(context);
  return () => text;
}

function canonicalText(context: Context): string {
  try {
    return canonicalize(context);
  } catch (error) {
    throw new TypeError(`gateTools: context must be a JSON object: ${String(error)}`, {
      cause: error,
    });
  }
}

/** Contexts of one sequence are presented in the order in which the application gave them. */
async function after(before: Promise<void> | undefined, next: () => Promise<void>): Promise<void> {
  await before?.catch(() => undefined);
  return next();
}

function remember(presented: Map<string, Presented>, sequenceId: string, entry: Presented): void {
  presented.delete(sequenceId);
  presented.set(sequenceId, entry);
  for (const oldest of presented.keys()) {
    if (presented.size <= REMEMBERED) break;
    presented.delete(oldest);
  }
  entry.done.catch(() => {
    if (presented.get(sequenceId) === entry) presented.delete(sequenceId);
  });
}
