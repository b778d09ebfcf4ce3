/** The trusted contexts of very many sequences: their texts, and the values of those that were asked for last. */
import {
  canonicalCopy,
  canonicalize,
  type Json,
  type JsonObject,
  setMember,
} from "./canonical-json.ts";
import type { Context } from "./gate.ts";
import { CONTEXT_LIMITS } from "./opening.ts";
import { parseStrictJson } from "./strict-json.ts";

/** Contexts by whatever stands for a sequence. */
export interface KeptContexts {
  /** Members of a later context replace earlier ones of the same name. @throws JsonError beyond a context's caps. */
  add(sequence: object, added: Context): void;
  /** `{}` where nothing was added. */
  of(sequence: object): JsonObject;
}

/** Of a context mostly the text is kept: what conditions make of its value can be many times its size. */
export function keptContexts(): KeptContexts {
  const texts = new WeakMap<object, string>();
  const atHand = new Map<object, JsonObject>();
  return {
    add(sequence, added) {
      const { copy } = canonicalCopy(added, CONTEXT_LIMITS);
      const merged: Record<string, Json> = { ...read(texts.get(sequence)) };
      for (const [name, value] of Object.entries(copy as JsonObject))
        setMember(merged, name, value);
      texts.set(sequence, canonicalize(merged));
      atHand.delete(sequence);
    },
    of(sequence) {
      const text = texts.get(sequence);
      if (text === undefined) return NOTHING;
      const known = atHand.get(sequence);
      if (known !== undefined) return known;
      const [oldest] = atHand.size < AT_HAND ? [] : atHand.keys();
      if (oldest !== undefined) atHand.delete(oldest);
      const context = read(text);
      atHand.set(sequence, context);
      return context;
    },
  };
}

const AT_HAND = 1000;
const NOTHING: JsonObject = {};

/** A text of our own making: it says an object. */
function read(text: string | undefined): JsonObject {
  return text === undefined ? NOTHING : (parseStrictJson(text) as JsonObject);
}
