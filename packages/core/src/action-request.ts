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
  readonly random: () => string;
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

type Name =
  | "sequence_id"
  | "function"
  | "action_type"
  | "step"
  | "tool"
  | "args"
  | "nonce"
  | "ts_ms"
  | "attempt"
  | "agent_id"
  | "tenant";

/** The members in the order in which a fault is named, each with its form. */
const FORMS: readonly (readonly [name: Name, form: RegExp | null, says: string])[] = [
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

/** What the input has under each name. One that is `undefined` is there, and at fault. */
type Members = Record<Name, unknown>;
/** In place of a value: the input has no such member. */
const ABSENT = Symbol("absent");
/** One shape for all inputs, whatever they have and in which order. */
const NONE: Readonly<Members> = {
  sequence_id: ABSENT,
  function: ABSENT,
  action_type: ABSENT,
  step: ABSENT,
  tool: ABSENT,
  args: ABSENT,
  nonce: ABSENT,
  ts_ms: ABSENT,
  attempt: ABSENT,
  agent_id: ABSENT,
  tenant: ABSENT,
};

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

interface Fault {
  readonly member: string;
  readonly message: string;
}

function read(input: unknown, filling: Filling): ActionRequest | InvalidRequest {
  if (typeof input !== "object" || input === null || Array.isArray(input))
    return invalid(NONE, { member: "", message: "the request must be an object" });
  const members = { ...NONE };
  let stranger: string | undefined;
  // Values are read for members of a request alone, each once: what others hold is nobody's business.
  for (const name of Object.keys(input)) {
    if (isName(name)) members[name] = (input as Record<string, unknown>)[name];
    else if (stranger === undefined || name < stranger) stranger = name;
  }
  const args = members.args === ABSENT ? { text: "{}", copy: {} } : readArgs(members.args);
  const fault = firstFault(members, args) ?? strangerFault(stranger);
  // Afterwards: what is filled in has its form.
  fill(members, filling);
  if (fault !== undefined) return invalid(members, fault);
  return "copy" in args ? build(members, args) : invalid(members, args);
}

function fill(members: Members, { random, now }: Filling): void {
  if (members.nonce === ABSENT) members.nonce = random();
  if (members.attempt === ABSENT) members.attempt = random();
  if (members.ts_ms === ABSENT) members.ts_ms = now;
}

function isName(name: string): name is Name {
  return Object.hasOwn(NONE, name);
}

function readArgs(value: unknown): Args | Fault {
  const member = "args";
  if (typeof value !== "object" || value === null || Array.isArray(value))
    return { member, message: "args must be a JSON object" };
  try {
    const { text, copy } = canonicalCopy(value, ARGS_LIMITS);
    // The copy of an object is an object.
    return { text, copy: copy as JsonObject };
  } catch (error) {
    if (!(error instanceof JsonError)) throw error;
    const dot = error.path === "" || error.path.startsWith("[") ? "" : ".";
    return { member, message: `args${dot}${error.path}: ${error.reason}` };
  }
}

function firstFault(members: Members, args: Args | Fault): Fault | undefined {
  for (const [member, form, says] of FORMS) {
    if (member === "args") {
      if ("message" in args) return args;
      continue;
    }
    const message = faultOf(members, member, form, says);
    if (message !== undefined) return { member, message };
  }
  return undefined;
}

/** Why one member is at fault; `undefined` where it is not, or is absent and may be. */
function faultOf(
  members: Members,
  name: Name,
  form: RegExp | null,
  says: string,
): string | undefined {
  const value = members[name];
  if (value === ABSENT) return absenceFault(name, members);
  if (!fits(value, form)) return `${name} must be ${says}`;
  const { function: fn, action_type, step } = members;
  if (name === "tool" && (fn !== ABSENT || action_type !== ABSENT || step !== ABSENT))
    return "tool excludes function, action_type and step";
  return undefined;
}

/** A text of this form; without one, a time. */
function fits(value: unknown, form: RegExp | null): boolean {
  return form === null
    ? Number.isSafeInteger(value)
    : typeof value === "string" && form.test(value);
}

function absenceFault(name: Name, members: Members): string | undefined {
  if (name === "sequence_id") return "sequence_id is required";
  if (members.tool !== ABSENT) return undefined;
  if (name === "function") return "function is required, unless tool is given";
  if (name === "action_type") return "action_type is required with function";
  return undefined;
}

function strangerFault(name: string | undefined): Fault | undefined {
  if (name === undefined) return undefined;
  const member = printable(name);
  return { member, message: `${member} is no member of a request` };
}

function invalid(members: Readonly<Members>, fault: Fault): InvalidRequest {
  const wellFormed: Record<string, string | number> = {};
  for (const [name, form] of FORMS)
    if (name !== "args" && fits(members[name], form))
      wellFormed[name] = members[name] as string | number;
  const ownerKnown = (["agent_id", "tenant"] as const).every(
    (name) => members[name] === ABSENT || name in wellFormed,
  );
  return { ...fault, wellFormed, ownerKnown: members !== NONE && ownerKnown };
}

function build(members: Members, { text: argsText, copy: args }: Args): ActionRequest {
  const { agent_id, tenant } = members;
  const request = {
    sequence_id: String(members.sequence_id),
    call: callOf(members),
    args,
    argsText,
    nonce: String(members.nonce),
    ts_ms: Number(members.ts_ms),
    attempt: String(members.attempt),
  };
  if (agent_id === ABSENT && tenant === ABSENT) return request;
  return {
    ...request,
    ...(agent_id === ABSENT ? {} : { agent_id: String(agent_id) }),
    ...(tenant === ABSENT ? {} : { tenant: String(tenant) }),
  };
}

function callOf({ tool, function: fn, action_type, step }: Members): CallForm {
  if (tool !== ABSENT) return { tool: String(tool) };
  const call = { function: String(fn), action_type: String(action_type) };
  return step === ABSENT ? call : { ...call, step: String(step) };
}

/** A member name as a rule may print it: receipts hold ASCII only. */
function printable(name: string): string {
  return name.slice(0, 64).replace(/[^A-Za-z0-9._:-]/g, "?");
}
