/**
 * Random contracts of Level 2 × random lives of four sequences, through two gates and their restarts: each answer is the
 * reference's, each chain is sound for a stranger, and what a gate knows is what the receipts say.
 */
import { randomBytes } from "node:crypto";
import { compilePolicy, PolicyError } from "@stepgate/policy";
import fc from "fast-check";
import { expect, test } from "vitest";
import { RECORDED_ANSWERS } from "./summary.ts";
import {
  type ActionInput,
  type Allow,
  type CompiledPolicy,
  createGate,
  type Decision,
  type GateParts,
  generateSigningKey,
  importKeySet,
  type LocalGate,
  memoryStore,
  recordHash,
  verifyReceipts,
} from "../src/index.ts";
import { type HeldClock, heldClock } from "./held-clock.ts";
import { keySetOf, person, statement } from "./people.ts";
import { type Act, anyAct, anyContract, type Drawn } from "./reference/contracts-two.ts";
import {
  type Answer,
  type Asked,
  type Decided,
  judgeTwo,
  type Story,
} from "./reference/judge-two.ts";
import { NOON } from "./reference/walk.ts";

const people = {
  anna: person({ roles: ["finance"] }),
  ben: person({ roles: ["finance"] }),
  carl: person({ roles: ["legal"] }),
  dora: person({ roles: ["legal", "finance"] }),
  eve: person({ roles: ["sales"] }),
};
const roles = Object.fromEntries(
  Object.entries(people).map(([name, { jwk }]) => [name, jwk.roles ?? []]),
);
const approvers = keySetOf(Object.values(people));
const key = generateSigningKey();
const keys = importKeySet({
  keys: [key.publicJwk, ...Object.values(people).map(({ jwk }) => jwk)],
});
const AGENTS = ["ana", "ana", "bot-1", undefined, "ana", "bot-1"] as const;
const PER_RUN = 70;

test(
  "every answer is the reference's, every chain is sound, and a gate that reads it anew knows the same",
  { timeout: 120_000 },
  async () => {
    const codes = new Map<string, number>();
    await fc.assert(
      fc.asyncProperty(
        fc.noBias(anyContract),
        fc.noBias(fc.array(anyAct, { minLength: PER_RUN, maxLength: PER_RUN })),
        async (drawn, acts) => {
          const policy = compiled(drawn);
          // A policy that can never be completed is refused at load.
          fc.pre(policy !== undefined);
          const counted = await lived(drawn, policy, acts);
          for (const code of counted) codes.set(code, (codes.get(code) ?? 0) + 1);
        },
      ),
      { numRuns: 150 },
    );
    // Each of these was the right answer often enough to mean something; comebacks of both kinds too.
    for (const code of [
      ...RECORDED_ANSWERS,
      "ALLOW after an approval",
      "ALLOW after an interruption",
      "asked again",
    ])
      expect(codes.get(code) ?? 0, code).toBeGreaterThan(5);
  },
);

/** Lives the acts in gates and in the reference; throws where they part. Gives the answers, to be counted. */
async function lived(
  drawn: Drawn,
  policy: CompiledPolicy,
  acts: readonly Act[],
): Promise<readonly string[]> {
  const life = await begin(drawn, policy);
  for (const act of acts) await step(life, act);
  await expectSound(life);
  return life.answers;
}

function compiled({ document }: Drawn): CompiledPolicy | undefined {
  try {
    return compilePolicy(document);
  } catch (error) {
    if (error instanceof PolicyError) return undefined;
    throw error;
  }
}

interface Life {
  readonly drawn: Drawn;
  readonly parts: GateParts;
  readonly held: HeldClock;
  readonly stories: readonly Story[];
  /** What each decision of the reference was in a gate. */
  readonly made: Map<Decided, Decision>;
  readonly answers: string[];
  readonly gates: LocalGate[];
  turn: number;
}

async function begin(drawn: Drawn, policy: CompiledPolicy): Promise<Life> {
  const held = heldClock(NOON);
  const parts = {
    policies: [policy],
    store: memoryStore(),
    signer: key,
    saltKey: randomBytes(32),
    approvers,
    clock: held.clock,
    deadlineMs: 60_000,
  };
  const gates = [await createGate(parts), await createGate(parts)];
  const stories = AGENTS.map((agent): Story => ({ openedAt: NOON, agent, happened: [] }));
  for (const [i, { agent }] of stories.entries())
    await gates[0]?.open({
      sequence_id: `s${i}`,
      ...(agent === undefined ? {} : { agent_id: agent }),
    });
  return { drawn, parts, held, stories, made: new Map(), answers: [], gates, turn: 0 };
}

/** The two gates take turns: what one did the other must find out. */
function nextGate(life: Life): LocalGate {
  return life.gates[life.turn++ % 2] as LocalGate;
}

async function step(life: Life, act: Act): Promise<void> {
  switch (act.do) {
    case "ask": {
      const { call, args } = act;
      const [, earlier] = pick(life, life.turn, () => act.reuses);
      const nonce = earlier?.asked.nonce ?? `n${life.turn}`;
      const ts_ms = life.held.clock() - (act.stale ? 60_001 : 60_000);
      return ask(life, openFrom(life, act.sequence), { call, nonce, args, ts_ms });
    }
    case "ask again": {
      const [index, one] = pick(life, act.which, (of) =>
        mayComeBack(life, of, act.which % 5 === 0),
      );
      return one && ask(life, index, { ...one.asked, ts_ms: life.held.clock() });
    }
    case "end":
      return end(life, act);
    case "state":
      return state(life, act);
    case "vouch":
      return vouch(life, act);
    case "seal":
      await nextGate(life).seal(`s${act.sequence}`, "stop");
      life.stories[act.sequence]?.happened.push({ what: "seal" });
      return;
    case "wait":
      // Ten minutes after a permit's end, a gate that starts closes what others left open.
      if (life.held.clock() < NOON + 300_000) life.held.pass(act.ms);
      return;
    case "restart":
      life.gates[life.turn % 2] = await createGate(life.parts);
  }
}

/** What waits for an approval or was interrupted; now and then what is over. */
function mayComeBack({ stories }: Life, { answer, asked }: Decided, over: boolean): boolean {
  if (answer.code === "APPROVAL_REQUIRED") return true;
  const interrupted = stories.some(({ happened }) =>
    happened.some(
      (one) =>
        one.what === "outcome" &&
        one.status === "interrupted" &&
        one.of.asked.nonce === asked.nonce,
    ),
  );
  return answer.code === "ALLOW" && (interrupted || over);
}

/** The first sequence from this one on that is not sealed; this one where all are. */
function openFrom({ stories, turn }: Life, index: number): number {
  const order = [...stories.keys()].map((offset) => (index + offset) % stories.length);
  const open = order.find((one) => !isSealed(stories[one] as Story));
  return turn % 8 === 0 ? index : (open ?? index);
}

/** One of the decisions so far that are such, and its sequence. */
function pick(
  { stories }: Life,
  which: number,
  such: (one: Decided) => boolean,
): readonly [index: number, one: Decided] | readonly [index: 0, one?: never] {
  const found = stories.flatMap(({ happened }, index) =>
    happened.flatMap((one) =>
      one.what === "decision" && such(one) ? [[index, one] as const] : [],
    ),
  );
  // One of the last few: what is long ago is mostly over.
  return found.at(-1 - (which % Math.min(Math.max(found.length, 1), 4))) ?? [0];
}

async function ask(life: Life, index: number, asked: Asked): Promise<void> {
  const { drawn, stories, held, made, answers } = life;
  const story = stories[index] as Story;
  const world = { stories, clock: held.clock(), roles };
  const expected = judgeTwo(drawn.contract, world, story, asked);
  const owner = story.agent === undefined ? {} : { agent_id: story.agent };
  const { call, ...members } = asked;
  const input = { sequence_id: `s${index}`, ...owner, ...call, ...members } as ActionInput;
  const decision = await nextGate(life).decide(input);
  expect(wordsOf(decision)).toEqual(wordsOfAnswer(expected, made));
  answers.push(expected.again === true ? "asked again" : expected.code);
  if (expected.again === true) return;
  if (expected.code === "ALLOW" && expected.to !== undefined)
    answers.push(
      `ALLOW after an ${expected.to.answer.code === "ALLOW" ? "interruption" : "approval"}`,
    );
  const decided: Decided = { what: "decision", asked, answer: expected, at: world.clock };
  story.happened.push(decided);
  made.set(decided, decision);
}

async function end(life: Life, act: Act & { readonly do: "end" }): Promise<void> {
  const [index, of] = pick(life, act.which, ({ answer }) => answer.code === "ALLOW");
  const happened = life.stories[index]?.happened ?? [];
  if (of === undefined || happened.some((one) => one.what === "outcome" && one.of === of)) return;
  await nextGate(life).outcome(life.made.get(of) as Allow, { status: act.status });
  happened.push({ what: "outcome", of, status: act.status });
}

async function state(life: Life, act: Act & { readonly do: "state" }): Promise<void> {
  const waits = ({ answer }: Decided): boolean =>
    answer.code === "APPROVAL_REQUIRED" && answer.to === undefined;
  const [index, on] = pick(life, act.which, waits);
  const story = life.stories[index];
  if (on === undefined || story === undefined) return;
  for (const by of act.people) {
    // No two statements are the same: the same one again would be none.
    const until = life.held.clock() + act.lasts + story.happened.length;
    const said = { verdict: act.verdict, expires_ms: until };
    const recorded = nextGate(life).approve(
      statement(life.made.get(on) as Decision, people[by], said),
    );
    if (isSealed(story)) return expect(recorded).rejects.toMatchObject({ code: "SEALED_SEQUENCE" });
    await recorded;
    story.happened.push({ what: "statement", on, person: by, verdict: act.verdict, until });
  }
}

async function vouch(life: Life, act: Act & { readonly do: "vouch" }): Promise<void> {
  const story = life.stories[act.sequence];
  if (story === undefined || isSealed(story)) return;
  await nextGate(life).addContext(`s${act.sequence}`, { words: act.words });
  story.happened.push({ what: "context", words: act.words });
}

function isSealed({ happened }: Story): boolean {
  return happened.some(
    (one) => one.what === "seal" || (one.what === "decision" && one.answer.seals),
  );
}

/** No finding for a stranger, with the policy and without; and both gates know what one that has just begun reads. */
async function expectSound({ parts, gates, stories }: Life): Promise<void> {
  const { store, policies } = parts;
  const lines = await Array.fromAsync(store.lines());
  for (const more of [{ policies }, {}])
    expect((await verifyReceipts(lines, { keys, ...more })).findings).toEqual([]);
  const fresh = await createGate(parts);
  for (const index of stories.keys()) {
    const known = await Promise.all([fresh, ...gates].map((gate) => gate.state(`s${index}`)));
    for (const one of known) expect(one).toEqual(known[0]);
  }
}

type Words = Readonly<Record<string, unknown>>;

function wordsOf(decision: Decision): Words {
  const { receipt } = decision;
  const { tool, function: fn, step, action_type, resumes, sealed } = receipt ?? {};
  return {
    code: decision.decision === "ALLOW" ? "ALLOW" : decision.deny_code,
    rule: decision.decision === "ALLOW" ? undefined : decision.rule,
    call: { tool, function: fn, step, action_type },
    seals: sealed === true,
    resumes,
  };
}

function wordsOfAnswer(
  { code, rule, call, seals, to }: Answer,
  receipts: ReadonlyMap<Decided, Decision>,
): Words {
  const { tool, function: fn, step, action_type } = call;
  const back = to === undefined ? undefined : receipts.get(to)?.receipt;
  return {
    code,
    rule,
    call: { tool, function: fn, step, action_type },
    seals,
    resumes: back && recordHash(back),
  };
}
