/**
 * The decision once more, from the text of decision.md: slow, without state, over the list of what happened. It shares
 * nothing with core: no automaton, no fold, no types. Each check is a sentence of the page.
 */
import type { StepOrder } from "./step-order.ts";

/** A contract as its author thinks of it. */
export interface Contract {
  readonly order: StepOrder;
  /** `"*"` is a function outside the order. */
  readonly functions: ReadonlyMap<
    string,
    { readonly step: string; readonly actions: readonly string[] }
  >;
  readonly tools: ReadonlyMap<
    string,
    { readonly functions: readonly string[]; readonly action: string; readonly audience?: string }
  >;
  readonly sealOn: readonly string[];
  readonly freshnessMs: number;
  readonly lifetimeMs: number;
}

/** A call as it is asked for. */
export interface Call {
  readonly tool?: string;
  readonly function?: string;
  readonly action_type?: string;
  readonly step?: string;
}

/** A request. `args` is any text that stands for the arguments. */
export interface Request {
  readonly call: Call;
  readonly nonce: string;
  readonly args: string;
  readonly ts_ms: number;
}

/** What happened in a sequence, oldest first. */
export type Event =
  | { readonly what: "decision"; readonly request: Request; readonly judgement: Judgement }
  | { readonly what: "outcome"; readonly of: Event; readonly status: string }
  | { readonly what: "seal of a person" };

/** The answer: `ALLOW` or a code, the rule of a denial, and what was made of the call. */
export interface Judgement {
  readonly answer: string;
  readonly rule?: string;
  readonly call: Call & { readonly audience?: string };
  readonly seals: boolean;
  /** The interrupted ALLOW that this comes back to. */
  readonly resumes?: Event;
}

/** A sequence and the two clocks of decision.md: the gate's, and the time that a record written now would bear. */
export interface Moment {
  readonly openedAt: number;
  readonly events: readonly Event[];
  readonly clock: number;
  readonly recordTime: number;
}

const BURN_NONE = ["STALE_TIMESTAMP", "REPLAY_NONCE", "INVALID_REQUEST", "POLICY_UNAVAILABLE"];

/** Checks 1 to 6: the first failure decides, and it is the only code. */
export function judge(contract: Contract, moment: Moment, request: Request): Judgement {
  const root = comesBackTo(moment.events, request);
  const made = checks4to6(contract, moment.events, request.call, root);
  const resumes = root === undefined ? {} : { resumes: root };
  const denied = (answer: string, rule: string): Judgement => ({
    answer,
    rule,
    call: made.call,
    seals: false,
    ...resumes,
  });

  if (Math.abs(request.ts_ms - moment.clock) > contract.freshnessMs)
    return denied("STALE_TIMESTAMP", "freshness");
  if (firstUse(moment.events, request.nonce) !== undefined && root === undefined)
    return denied("REPLAY_NONCE", "nonce");
  if (isSealed(contract, moment, root)) return denied("SEALED_SEQUENCE", "seal");
  if (made.answer !== "ALLOW") return { ...made, ...resumes };
  // A call that comes back seals nothing: its root did, or did not.
  return root === undefined ? made : { ...made, seals: false, resumes: root };
}

/** Steps that may come now. */
export function admissibleNow(contract: Contract, moment: Moment): readonly string[] {
  const sealed = moment.events.some(
    (event) =>
      event.what === "seal of a person" || (event.what === "decision" && event.judgement.seals),
  );
  if (sealed) return [];
  const trace = traceOf(contract, moment.events);
  return contract.order.steps.filter((step) => contract.order.begun([...trace, step]));
}

/** The steps of what was allowed, without functions outside the order, and each call once however often it came back. */
function traceOf(contract: Contract, events: readonly Event[]): readonly string[] {
  return events.flatMap((event) => {
    if (
      event.what !== "decision" ||
      event.judgement.answer !== "ALLOW" ||
      event.judgement.resumes !== undefined
    )
      return [];
    const step = contract.functions.get(event.judgement.call.function ?? "")?.step ?? "*";
    return step === "*" ? [] : [step];
  });
}

/** The decision that used this nonce up, if one did. */
function firstUse(
  events: readonly Event[],
  nonce: string,
): (Event & { what: "decision" }) | undefined {
  return events.find(
    (event): event is Event & { what: "decision" } =>
      event.what === "decision" &&
      event.request.nonce === nonce &&
      event.judgement.resumes === undefined &&
      !BURN_NONE.includes(event.judgement.answer),
  );
}

/** “interrupted: the latest ALLOW of this nonce has the outcome `interrupted`; same call, same arguments; at most 16 times.” */
function comesBackTo(
  events: readonly Event[],
  request: Request,
): (Event & { what: "decision" }) | undefined {
  const root = firstUse(events, request.nonce);
  if (root === undefined || root.judgement.answer !== "ALLOW") return undefined;
  const again = events.filter(
    (event) =>
      event.what === "decision" &&
      event.judgement.answer === "ALLOW" &&
      event.judgement.resumes === root,
  );
  const latest = again.at(-1) ?? root;
  const outcome = events.find((event) => event.what === "outcome" && event.of === latest);
  if (outcome?.what !== "outcome" || outcome.status !== "interrupted" || again.length >= 16)
    return undefined;
  return root.request.args === request.args && sameCall(root.judgement.call, request.call)
    ? root
    : undefined;
}

/** “Same tool, or same function, action type and step”; a step that is left out is the function's. */
function sameCall(before: Call, now: Call): boolean {
  if (before.tool !== undefined || now.tool !== undefined) return before.tool === now.tool;
  return (
    before.function === now.function &&
    before.action_type === now.action_type &&
    (now.step === undefined || before.step === now.step)
  );
}

/** “After a seal by another, by a person, or the lifetime's end: SEALED_SEQUENCE.” */
function isSealed(contract: Contract, moment: Moment, root: Event | undefined): boolean {
  if (moment.recordTime > moment.openedAt + contract.lifetimeMs) return true;
  return moment.events.some(
    (event) =>
      event.what === "seal of a person" ||
      (event.what === "decision" && event.judgement.seals && event !== root),
  );
}

function checks4to6(
  contract: Contract,
  events: readonly Event[],
  call: Call,
  root: (Event & { what: "decision" }) | undefined,
): Judgement {
  if (call.tool === undefined) return explicitForm(contract, events, call, root);
  const tool = contract.tools.get(call.tool);
  if (tool === undefined)
    return { answer: "NO_POLICY_MATCH", rule: "tools", call: { tool: call.tool }, seals: false };
  // “or a list: the first that passes checks 4 to 6; if none, the first”. A call that comes back is the one it was.
  const functions = root === undefined ? tool.functions : [root.judgement.call.function ?? ""];
  const answers = functions.map((name) =>
    checks5and6(contract, events, name, tool.action, root, functionsStep(contract, name)),
  );
  const taken = answers.find(({ answer }) => answer === "ALLOW") ?? answers[0];
  if (taken === undefined) throw new Error("a tool without functions");
  return {
    ...taken,
    call: {
      ...taken.call,
      tool: call.tool,
      ...(tool.audience === undefined ? {} : { audience: tool.audience }),
    },
  };
}

/** “A (function, action type) pair that some tool stands for is requested in the tool form only” (after `functions`, before the step). */
function explicitForm(
  contract: Contract,
  events: readonly Event[],
  call: Call,
  root: (Event & { what: "decision" }) | undefined,
): Judgement {
  const { function: name = "", action_type = "", step } = call;
  const asked = { function: name, action_type, ...(step === undefined ? {} : { step }) };
  const fn = contract.functions.get(name);
  if (fn === undefined)
    return { answer: "NO_POLICY_MATCH", rule: "functions", call: asked, seals: false };
  const bears = { ...functionsStep(contract, name), ...asked };
  const standsFor = [...contract.tools.values()].some(
    (tool) => tool.action === action_type && tool.functions.includes(name),
  );
  if (standsFor) return { answer: "NO_POLICY_MATCH", rule: "tools", call: bears, seals: false };
  // “Any `step` given for a `step: "*"` function is NO_POLICY_MATCH, as is an unknown step.”
  if (step !== undefined && (fn.step === "*" || step !== fn.step))
    return { answer: "NO_POLICY_MATCH", rule: `functions.${name}.step`, call: bears, seals: false };
  return checks5and6(contract, events, name, action_type, root, bears);
}

function functionsStep(contract: Contract, name: string): Call {
  const step = contract.functions.get(name)?.step;
  return step === undefined || step === "*" ? {} : { step };
}

function checks5and6(
  contract: Contract,
  events: readonly Event[],
  name: string,
  action_type: string,
  root: Event | undefined,
  members: Call,
): Judgement {
  const call = { ...members, function: name, action_type };
  const fn = contract.functions.get(name);
  if (fn === undefined) throw new Error(`a tool stands for '${name}', which is no function`);
  const before = traceOf(contract, events);
  const after = fn.step === "*" ? before : [...before, fn.step];
  const sealsByAction = contract.sealOn.includes(action_type);
  if (root === undefined && !contract.order.begun(after))
    return { answer: "SEQUENCE_VIOLATION", rule: "sequence", call, seals: false };
  if (root === undefined && sealsByAction && !contract.order.complete(after))
    return { answer: "SEQUENCE_VIOLATION", rule: "sequence", call, seals: false };
  if (!fn.actions.includes(action_type))
    return { answer: "ACTION_NOT_ALLOWED", rule: `functions.${name}.actions`, call, seals: false };
  const naturalEnd =
    fn.step !== "*" &&
    contract.order.complete(after) &&
    !contract.order.steps.some((step) => contract.order.begun([...after, step]));
  return { answer: "ALLOW", call, seals: sealsByAction || naturalEnd };
}
