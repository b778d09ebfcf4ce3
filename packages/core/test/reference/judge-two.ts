/**
 * Level 2 once more, from the text of decision.md and policy.md: slow, without state, over the list of what happened in
 * all sequences. Shares nothing with core, and nothing with the reference for Level 1 but the step orders.
 */
import type { StepOrder } from "./step-order.ts";

/** What may stand on a tool or a function, as its author thinks of it; all of it is about `n`, `k`, `m` and `s`. */
export interface Conditions {
  /** `args`: `n` is a number, where it is given. */
  readonly typed?: boolean;
  /** `when: args.n < …` */
  readonly below?: number;
  /** `grounded: { s: context.words }` */
  readonly grounded?: boolean;
  /** Names, and the argument that each binds. */
  readonly bind?: Readonly<Record<string, "k" | "m">>;
  readonly calls?: Limit;
  /** Of `n`. */
  readonly sum?: Limit;
  readonly approval?: {
    readonly from?: number;
    readonly count: number;
    readonly by: readonly string[];
  };
}

/** Over the sequence, or over an agent's sequences in windows of so many milliseconds. */
export interface Limit {
  readonly max: number;
  readonly window?: number;
}

/** Selects by one member. */
export type Selector = { readonly [member in "function" | "step" | "action" | "tool"]?: string };

/** A contract of Level 2. */
export interface ContractTwo {
  readonly order: StepOrder;
  readonly functions: Readonly<
    Record<string, { readonly step: string; readonly actions: readonly string[] } & Conditions>
  >;
  readonly tools: Readonly<
    Record<string, { readonly functions: readonly string[]; readonly action: string } & Conditions>
  >;
  readonly constraints: readonly {
    readonly kind: "never" | "precedence";
    readonly of: readonly [Selector, Selector];
  }[];
  readonly forbid: readonly Readonly<
    Partial<Record<"actions" | "functions" | "steps" | "tools" | "agents", readonly string[]>>
  >[];
  /** Patterns, and the action lists that they leave. */
  readonly agents?: Readonly<Record<string, Readonly<Record<string, readonly string[]>>>>;
  readonly sealOn: readonly string[];
  readonly freshnessMs: number;
  readonly lifetimeMs: number;
}

/** A call as it is asked for. */
export interface Asked {
  readonly call: {
    readonly tool?: string;
    readonly function?: string;
    readonly action_type?: string;
  };
  readonly nonce: string;
  readonly args: Readonly<Record<string, unknown>>;
  readonly ts_ms: number;
}

/** One decision that was recorded. */
export interface Decided {
  readonly what: "decision";
  readonly asked: Asked;
  readonly answer: Answer;
  /** The gate's clock. */
  readonly at: number;
}

/** What happened in one sequence, oldest first. */
type Happening =
  | Decided
  | { readonly what: "outcome"; readonly of: Decided; readonly status: string }
  | {
      readonly what: "statement";
      readonly on: Decided;
      readonly person: string;
      readonly verdict: "approve" | "reject";
      readonly until: number;
    }
  | { readonly what: "context"; readonly words: readonly string[] }
  | { readonly what: "seal" };

/** One sequence. */
export interface Story {
  readonly openedAt: number;
  readonly agent: string | undefined;
  readonly happened: Happening[];
}

/** The answer to a request. */
export interface Answer {
  readonly code: string;
  readonly rule?: string;
  readonly call: Readonly<Record<string, string>>;
  readonly seals: boolean;
  /** What the request comes back to. */
  readonly to?: Decided;
  /** An earlier denial, given again: nothing is recorded. */
  readonly again?: boolean;
}

/** The world: all sequences, the clock, and who has which roles. */
export interface World {
  readonly stories: readonly Story[];
  readonly clock: number;
  readonly roles: Readonly<Record<string, readonly string[]>>;
}

const BURN_NONE = ["STALE_TIMESTAMP", "REPLAY_NONCE", "INVALID_REQUEST", "POLICY_UNAVAILABLE"];

/** Checks 1 to 9: the first failure decides, and it is the only code. */
export function judgeTwo(contract: ContractTwo, world: World, story: Story, asked: Asked): Answer {
  const used = firstUse(story, asked.nonce);
  const back = comesBack(story, asked, used);
  const root = back?.kind === "interrupted" ? back.root : undefined;
  const to = back?.kind === "interrupted" ? back.root : back?.denial;
  const made = checks4to6(contract, story, asked, root);
  const deny = (code: string, rule: string): Answer => ({
    code,
    rule,
    call: made.call,
    seals: false,
    ...(to && { to }),
  });
  if (Math.abs(asked.ts_ms - world.clock) > contract.freshnessMs)
    return deny("STALE_TIMESTAMP", "freshness");
  if (used !== undefined && back === undefined) return deny("REPLAY_NONCE", "nonce");
  const over = world.clock > story.openedAt + contract.lifetimeMs;
  const sealed = story.happened.some(
    (one) => one.what === "seal" || (one.what === "decision" && one.answer.seals && one !== root),
  );
  if (over || sealed) return deny("SEALED_SEQUENCE", "seal");
  if (made.code !== "ALLOW") return { ...made, ...(to && { to }) };

  const standing = standingOn(contract, made.call);
  const failed =
    first(standing, (one) => check7(contract, story, asked, standing, one)) ??
    (root === undefined
      ? first(standing, (one) => check8(contract, world, story, asked, one))
      : undefined) ??
    first(standing, (one) => check9(world, story, asked, one, denialBehind(back)));
  if (failed === undefined)
    return { ...made, seals: made.seals && root === undefined, ...(to && { to }) };
  // “Without an approval so far it is APPROVAL_REQUIRED again, not recorded anew.”
  if (failed[0] === "APPROVAL_REQUIRED" && back?.kind === "approval")
    return { ...back.denial.answer, again: true };
  return deny(...failed);
}

type Failure = readonly [code: string, rule: string];
type Back =
  | { readonly kind: "interrupted"; readonly root: Decided }
  | { readonly kind: "approval"; readonly denial: Decided };

function first<T>(list: readonly T[], find: (one: T) => Failure | undefined): Failure | undefined {
  return list.map(find).find((found) => found !== undefined);
}

function decisions(story: Story): readonly Decided[] {
  return story.happened.filter((one) => one.what === "decision");
}

/** ALLOWs, each call once however often it came back. */
function allowed(story: Story): readonly Decided[] {
  return decisions(story).filter(
    ({ answer }) => answer.code === "ALLOW" && answer.to?.answer.code !== "ALLOW",
  );
}

function firstUse(story: Story, nonce: string): Decided | undefined {
  return decisions(story).find(
    ({ asked, answer }) =>
      asked.nonce === nonce && answer.to === undefined && !BURN_NONE.includes(answer.code),
  );
}

/** “A used nonce is admitted again, with the same arguments, in two cases only.” */
function comesBack(story: Story, asked: Asked, used: Decided | undefined): Back | undefined {
  if (used === undefined || !isSame(used, asked)) return undefined;
  const allows = decisions(story).filter(
    (one) => one.asked.nonce === asked.nonce && one.answer.code === "ALLOW",
  );
  const [root] = allows;
  const latest = allows.at(-1);
  if (root === undefined)
    return used.answer.code === "APPROVAL_REQUIRED"
      ? { kind: "approval", denial: used }
      : undefined;
  const outcome = story.happened.find((one) => one.what === "outcome" && one.of === latest);
  const interrupted = outcome?.what === "outcome" && outcome.status === "interrupted";
  return interrupted && allows.length <= 16 ? { kind: "interrupted", root } : undefined;
}

function isSame({ asked: before }: Decided, now: Asked): boolean {
  const text = ({ call, args }: Asked): string =>
    JSON.stringify([call.tool, call.function, call.action_type, Object.entries(args).sort()]);
  return text(before) === text(now);
}

/** The denial that approvals of this call name: the one that is asked about again, or that its root had answered. */
function denialBehind(back: Back | undefined): Decided | undefined {
  return back?.kind === "interrupted" ? back.root.answer.to : back?.denial;
}

function checks4to6(
  contract: ContractTwo,
  story: Story,
  { call }: Asked,
  root: Decided | undefined,
): Answer {
  if (call.tool === undefined) {
    const { function: name = "", action_type = "" } = call;
    const asked = { function: name, action_type };
    const fn = contract.functions[name];
    if (fn === undefined)
      return { code: "NO_POLICY_MATCH", rule: "functions", call: asked, seals: false };
    const whole = { ...asked, ...(fn.step === "*" ? {} : { step: fn.step }) };
    const stoodFor = Object.values(contract.tools).some(
      (tool) => tool.action === action_type && tool.functions.includes(name),
    );
    if (stoodFor) return { code: "NO_POLICY_MATCH", rule: "tools", call: whole, seals: false };
    return checks5and6(contract, story, whole, root);
  }
  const tool = contract.tools[call.tool];
  if (tool === undefined)
    return { code: "NO_POLICY_MATCH", rule: "tools", call: { tool: call.tool }, seals: false };
  const candidates = root === undefined ? tool.functions : [root.answer.call["function"] ?? ""];
  const answers = candidates.map((name) => {
    const step = contract.functions[name]?.step ?? "*";
    const whole = { tool: call.tool ?? "", function: name, action_type: tool.action };
    return checks5and6(contract, story, step === "*" ? whole : { ...whole, step }, root);
  });
  const taken = answers.find(({ code }) => code === "ALLOW") ?? answers[0];
  if (taken === undefined) throw new Error("a tool without functions");
  return taken;
}

function checks5and6(
  contract: ContractTwo,
  story: Story,
  call: Readonly<Record<string, string>>,
  root: Decided | undefined,
): Answer {
  const deny = (code: string, rule: string): Answer => ({ code, rule, call, seals: false });
  const { function: name = "", action_type: action = "" } = call;
  const fn = contract.functions[name];
  if (fn === undefined) throw new Error(`'${name}' is no function`);
  const before = allowed(story);
  const trace = before.flatMap(({ answer }) => answer.call["step"] ?? []);
  const after = fn.step === "*" ? trace : [...trace, fn.step];
  const sealsByAction = contract.sealOn.includes(action);
  if (root === undefined) {
    if (!contract.order.begun(after)) return deny("SEQUENCE_VIOLATION", "sequence");
    if (sealsByAction && !contract.order.complete(after))
      return deny("SEQUENCE_VIOLATION", "sequence");
    for (const [i, { kind, of }] of contract.constraints.entries()) {
      const had = before.some(({ answer }) => isSelected(of[0], answer.call));
      if (isSelected(of[1], call) && (kind === "never" ? had : !had))
        return deny("SEQUENCE_VIOLATION", `constraints.${i}`);
    }
  }
  const refusal = check6(contract, story, call);
  if (refusal !== undefined) return deny("ACTION_NOT_ALLOWED", refusal);
  const end =
    fn.step !== "*" &&
    contract.order.complete(after) &&
    !contract.order.steps.some((step) => contract.order.begun([...after, step]));
  return { code: "ALLOW", call, seals: sealsByAction || end };
}

function isSelected(selector: Selector, call: Readonly<Record<string, string>>): boolean {
  const { action, ...others } = selector;
  const wanted = Object.entries({
    ...others,
    ...(action === undefined ? {} : { action_type: action }),
  });
  return wanted.every(([member, name]) => call[member] === name);
}

function check6(
  contract: ContractTwo,
  { agent }: Story,
  call: Readonly<Record<string, string>>,
): string | undefined {
  const { function: name = "", action_type: action = "" } = call;
  const forbidden = contract.forbid.findIndex((item) => {
    const members = { actions: action, functions: name, steps: call["step"], tools: call["tool"] };
    return Object.entries(item).every(([selector, names]) =>
      selector === "agents"
        ? names.some((pattern) => isMatched(pattern, agent ?? ""))
        : names.includes(members[selector as keyof typeof members] ?? ""),
    );
  });
  if (forbidden >= 0) return `forbid.${forbidden}`;
  if (contract.agents !== undefined) {
    const patterns = Object.keys(contract.agents).filter(
      (pattern) => agent !== undefined && isMatched(pattern, agent),
    );
    if (patterns.length === 0) return "agents";
    const narrow = patterns
      .filter((pattern) => contract.agents?.[pattern]?.[name]?.includes(action) === false)
      .sort();
    if (narrow[0] !== undefined) return `agents.${narrow[0]}`;
  }
  return contract.functions[name]?.actions.includes(action)
    ? undefined
    : `functions.${name}.actions`;
}

/** `*` is any run of characters. */
function isMatched(pattern: string, agent: string): boolean {
  return new RegExp(`^${pattern.split("*").join(".*")}$`).test(agent);
}

interface Standing {
  readonly path: string;
  readonly of: Conditions;
}

/** “Both apply, the function's first.” */
function standingOn(
  contract: ContractTwo,
  { tool, function: name = "" }: Readonly<Record<string, string>>,
): readonly Standing[] {
  const ofFunction = contract.functions[name];
  const ofTool = tool === undefined ? undefined : contract.tools[tool];
  return [
    ...(ofFunction === undefined ? [] : [{ path: `functions.${name}`, of: ofFunction }]),
    ...(ofTool === undefined ? [] : [{ path: `tools.${tool}`, of: ofTool }]),
  ];
}

function check7(
  contract: ContractTwo,
  story: Story,
  { args }: Asked,
  standing: readonly Standing[],
  { path, of }: Standing,
): Failure | undefined {
  const { n, s } = args;
  if (of.typed && n !== undefined && typeof n !== "number")
    return ["ARGUMENT_VIOLATION", `${path}.args`];
  if (of.below !== undefined) {
    // An absent argument, or a text compared with a number, is an error of CEL.
    if (typeof n !== "number") return ["POLICY_ERROR", `${path}.when`];
    if (n >= of.below) return ["ARGUMENT_VIOLATION", `${path}.when`];
  }
  if (of.grounded && s !== undefined && (s === "" || !wordsOf(story).includes(String(s))))
    return ["ARGUMENT_VIOLATION", `${path}.grounded.s`];
  for (const name of Object.keys(of.bind ?? {}).sort()) {
    const value = args[of.bind?.[name] ?? ""];
    // Of the same call: what the function binds, where this is the tool.
    const beside = standing
      .slice(
        0,
        standing.findIndex((one) => one.path === path),
      )
      .flatMap((one) => one.of.bind?.[name] ?? [])
      .map((argument) => args[argument]);
    const stood = [...boundBefore(contract, story, name), ...beside];
    if (value === undefined || stood.some((other) => other !== value))
      return ["ARGUMENT_VIOLATION", `${path}.bind.${name}`];
  }
  return undefined;
}

function boundBefore(contract: ContractTwo, story: Story, name: string): readonly unknown[] {
  return allowed(story).flatMap(({ answer, asked }) =>
    standingOn(contract, answer.call).flatMap(({ of }) => {
      const argument = of.bind?.[name];
      return argument === undefined ? [] : [asked.args[argument]];
    }),
  );
}

/** “Members of a later context replace earlier ones of the same name.” */
function wordsOf(story: Story): readonly string[] {
  const given = story.happened.filter((one) => one.what === "context");
  return given.at(-1)?.words ?? [];
}

function check8(
  contract: ContractTwo,
  world: World,
  story: Story,
  { args }: Asked,
  { path, of }: Standing,
): Failure | undefined {
  const counts = (one: Decided): boolean =>
    standingOn(contract, one.answer.call).some((other) => other.path === path);
  const within = ({ window }: Limit): readonly Decided[] => {
    if (window === undefined) return allowed(story).filter(counts);
    const inWindow = (at: number): boolean =>
      Math.floor(at / window) === Math.floor(world.clock / window);
    return world.stories
      .filter(({ agent }) => agent === story.agent)
      .flatMap(allowed)
      .filter((one) => counts(one) && inWindow(one.at));
  };
  const anonymous = ({ window }: Limit): boolean =>
    window !== undefined && story.agent === undefined;
  const { calls, sum } = of;
  if (calls !== undefined && (anonymous(calls) || within(calls).length + 1 > calls.max))
    return ["LIMIT_EXCEEDED", `${path}.limits.calls`];
  if (sum === undefined) return undefined;
  const { n } = args;
  if (typeof n !== "number" || n < 0 || anonymous(sum))
    return ["LIMIT_EXCEEDED", `${path}.limits.sum`];
  // In tenths, for every amount of these tests is a whole number of them.
  const tenths = (amount: unknown): number => Math.round(Number(amount) * 10);
  const total = within(sum).reduce((so, { asked }) => so + tenths(asked.args["n"]), tenths(n));
  return total > tenths(sum.max) ? ["LIMIT_EXCEEDED", `${path}.limits.sum`] : undefined;
}

function check9(
  world: World,
  story: Story,
  { args }: Asked,
  { path, of }: Standing,
  denial: Decided | undefined,
): Failure | undefined {
  const { approval } = of;
  if (approval === undefined) return undefined;
  if (approval.from !== undefined) {
    if (typeof args["n"] !== "number") return ["POLICY_ERROR", `${path}.approval`];
    if (args["n"] < approval.from) return undefined;
  }
  const statements = story.happened.filter((one) => one.what === "statement" && one.on === denial);
  const latest = new Map(
    statements.map((one) => [one.what === "statement" ? one.person : "", one]),
  );
  const entitled = [...latest.values()].filter(
    (one) =>
      one.what === "statement" &&
      world.roles[one.person]?.some((role) => approval.by.includes(role)),
  );
  const rejected = entitled.some((one) => one.what === "statement" && one.verdict === "reject");
  const approving = entitled.filter(
    (one) => one.what === "statement" && one.verdict === "approve" && world.clock < one.until,
  );
  return rejected || approving.length < approval.count
    ? ["APPROVAL_REQUIRED", `${path}.approval`]
    : undefined;
}
