/** Untrusted input to an `ActionRequest`, or the first member at fault (decision.md, check 0). */
import { canonicalCopy, type JsonObject, JsonError, type JsonLimits } from "./canonical-json.ts";

/** Caps on `args`, looked at before anything else looks at them. */
export const ARGS_LIMITS: JsonLimits = {
  bytes: 256 * 1024,
  depth: 64,
  keys: 10_000,
  safeIntegers: true,
};

/** How a call is requested: by its tool, or explicitly by function and action type. */
export type CallForm =
  | {
      readonly tool: string;
      readonly function?: never;
      readonly action_type?: never;
      readonly step?: never;
    }
  | {
      readonly tool?: never;
      readonly function: string;
      readonly action_type: string;
      readonly step?: string;
    };

interface Envelope {
  /** One run of one policy. */
  readonly sequence_id: string;
  /** What the action will be called with; absent is `{}`. */
  readonly args?: object;
  /** One use a sequence; absent: random. */
  readonly nonce?: string;
  /** The caller's clock in milliseconds; absent: now. */
  readonly ts_ms?: number;
  /** 22 base64url characters, random for each call of `decide`; absent: filled in. */
  readonly attempt?: string;
  readonly agent_id?: string;
  readonly tenant?: string;
}

/** What a host hands to `decide`. Names on the wire are these names. */
export type ActionInput = Envelope & CallForm;

/** A request that is well formed; `argsText` is the canonical text of `args`. */
export interface ActionRequest {
  readonly sequence_id: string;
  readonly call: CallForm;
  readonly args: JsonObject;
  readonly argsText: string;
  readonly nonce: string;
  readonly ts_ms: number;
  readonly attempt: string;
  readonly agent_id?: string;
  readonly tenant?: string;
}

/** Why input is no request: the member at fault (empty: the whole), one sentence, and the members that were well formed. */
export interface InvalidRequest {
  readonly member: string;
  readonly message: string;
  readonly wellFormed: Readonly<Record<string, string | number>>;
  /** False where `agent_id` or `tenant` are themselves at fault: then nobody knows whose request this is. */
  readonly ownerKnown: boolean;
}

/** What the library fills in where the caller left it out. */
export interface Filling {
  readonly now: number;
  /** 22 base64url characters. */
  random(): string;
}

const NAME = /^[A-Za-z0-9._:-]{1,128}$/;
const TOOL = /^[A-Za-z0-9._:/-]{1,128}$/;
const IDENTIFIER = /^[A-Za-z0-9][A-Za-z0-9._:@/-]{0,199}$/;
const NONCE = /^[\x20-\x7e]{1,200}$/;
const ATTEMPT = /^[A-Za-z0-9_-]{22}$/;

/** True for `sequence_id`, `agent_id`, `tenant`, `policy_id`, `gate_id`, `audience` and `by`. */
export function isIdentifier(text: unknown): text is string {
  return typeof text === "string" && IDENTIFIER.test(text);
}

/** True for a nonce: 1 to 200 characters U+0020 to U+007E. */
export function isNonce(text: unknown): text is string {
  return typeof text === "string" && NONCE.test(text);
}

const IDENTIFIER_FORM = "1 to 200 of A-Z a-z 0-9 . _ : @ / -, beginning with a letter or digit";
const NAME_FORM = "1 to 128 of A-Z a-z 0-9 . _ : -";

/** The members in the order in which a fault is named, each with its form. */
const FORMS: readonly (readonly [name: string, form: RegExp | null, says: string])[] = [
  ["sequence_id", IDENTIFIER, IDENTIFIER_FORM],
  ["function", NAME, NAME_FORM],
  ["action_type", NAME, NAME_FORM],
  ["step", NAME, NAME_FORM],
  ["tool", TOOL, "1 to 128 of A-Z a-z 0-9 . _ : / -"],
  ["args", null, "a JSON object"],
  ["nonce", NONCE, "1 to 200 printable ASCII characters"],
  ["ts_ms", null, "a safe integer of milliseconds"],
  ["attempt", ATTEMPT, "22 base64url characters"],
  ["agent_id", IDENTIFIER, IDENTIFIER_FORM],
  ["tenant", IDENTIFIER, IDENTIFIER_FORM],
];
const MEMBERS: ReadonlySet<string> = new Set(FORMS.map(([name]) => name));

/**
 * Reads untrusted input once: each member is looked at a single time, and `args` are copied, before this returns.
 * Never throws, never coerces: unknown members, `undefined`, what JSON cannot say and what exceeds the caps are faults.
 */
export function readActionRequest(
  input: unknown,
  filling: Filling,
): ActionRequest | InvalidRequest {
  try {
    return read(input, filling);
  } catch (error) {
    // A getter or a proxy of the caller's threw: whatever this is, it is not a request.
    const why = error instanceof RangeError ? "is too deep" : "cannot be read";
    return { member: "", message: `the request ${why}`, wellFormed: {}, ownerKnown: false };
  }
}

/** Tells the two answers of {@link readActionRequest} apart. */
export function isInvalid(read: ActionRequest | InvalidRequest): read is InvalidRequest {
  return "member" in read;
}

interface Args {
  readonly text: string;
  readonly copy: JsonObject;
}

function read(input: unknown, filling: Filling): ActionRequest | InvalidRequest {
  if (typeof input !== "object" || input === null || Array.isArray(input)) {
    return {
      member: "",
      message: "the request must be an object",
      wellFormed: {},
      ownerKnown: false,
    };
  }
  const members = new Map<string, unknown>();
  // Values are read for members of a request alone, each once: what others hold is nobody's business.
  for (const name of Object.keys(input))
    members.set(name, MEMBERS.has(name) ? (input as Record<string, unknown>)[name] : undefined);
  if (!members.has("nonce")) members.set("nonce", filling.random());
  if (!members.has("attempt")) members.set("attempt", filling.random());
  if (!members.has("ts_ms")) members.set("ts_ms", filling.now);

  const wellFormed: Record<string, string | number> = {};
  let fault: { readonly member: string; readonly message: string } | undefined;
  let args: Args = { text: "{}", copy: {} };
  for (const [name, form, says] of FORMS) {
    const message = faultOf(name, form, says, members, wellFormed, (kept) => (args = kept));
    if (message !== undefined) fault ??= { member: name, message };
  }
  for (const name of [...members.keys()].sort()) {
    if (!MEMBERS.has(name))
      fault ??= {
        member: printable(name),
        message: `${printable(name)} is no member of a request`,
      };
  }
  const ownerKnown = ["agent_id", "tenant"].every(
    (name) => !members.has(name) || name in wellFormed,
  );
  if (fault !== undefined) return { ...fault, wellFormed, ownerKnown };
  return build(wellFormed, args);
}

/** Why one member is at fault; `undefined` where it is not, or is absent and may be. */
function faultOf(
  name: string,
  form: RegExp | null,
  says: string,
  members: ReadonlyMap<string, unknown>,
  wellFormed: Record<string, string | number>,
  keepArgs: (args: Args) => void,
): string | undefined {
  if (!members.has(name)) return absenceFault(name, members);
  const value = members.get(name);
  if (name === "args") return argsFault(value, keepArgs);
  if (name === "ts_ms") {
    if (!Number.isSafeInteger(value)) return `${name} must be ${says}`;
  } else if (typeof value !== "string" || !form?.test(value)) {
    return `${name} must be ${says}`;
  }
  wellFormed[name] = value as string | number;
  if (
    name === "tool" &&
    (members.has("function") || members.has("action_type") || members.has("step"))
  ) {
    return "tool excludes function, action_type and step";
  }
  return undefined;
}

function absenceFault(name: string, members: ReadonlyMap<string, unknown>): string | undefined {
  if (name === "sequence_id") return "sequence_id is required";
  if (members.has("tool")) return undefined;
  if (name === "function") return "function is required, unless tool is given";
  if (name === "action_type") return "action_type is required with function";
  return undefined;
}

function argsFault(value: unknown, keepArgs: (args: Args) => void): string | undefined {
  if (typeof value !== "object" || value === null || Array.isArray(value))
    return "args must be a JSON object";
  try {
    const { text, copy } = canonicalCopy(value, ARGS_LIMITS);
    // The copy of an object is an object.
    keepArgs({ text, copy: copy as JsonObject });
    return undefined;
  } catch (error) {
    if (!(error instanceof JsonError)) throw error;
    const dot = error.path === "" || error.path.startsWith("[") ? "" : ".";
    return `args${dot}${error.path}: ${error.reason}`;
  }
}

function build(found: Readonly<Record<string, string | number>>, args: Args): ActionRequest {
  const text = (name: string): string => String(found[name]);
  const call: CallForm =
    found["tool"] === undefined
      ? {
          function: text("function"),
          action_type: text("action_type"),
          ...(found["step"] === undefined ? {} : { step: text("step") }),
        }
      : { tool: text("tool") };
  return {
    sequence_id: text("sequence_id"),
    call,
    args: args.copy,
    argsText: args.text,
    nonce: text("nonce"),
    ts_ms: Number(found["ts_ms"]),
    attempt: text("attempt"),
    ...(found["agent_id"] === undefined ? {} : { agent_id: text("agent_id") }),
    ...(found["tenant"] === undefined ? {} : { tenant: text("tenant") }),
  };
}

/** A member name as a rule may print it: receipts hold ASCII only. */
function printable(name: string): string {
  return name.slice(0, 64).replace(/[^A-Za-z0-9._:-]/g, "?");
}
