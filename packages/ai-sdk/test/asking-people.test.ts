/** Approvals by people: asked for natively, given to the gate, spent on one execution. The SDK's own yes is no authority. */
import { approversOf, type Person, person } from "@stepgate/contract";
import type { ApprovalStatement } from "@stepgate/core";
import type { ModelMessage } from "ai";
import { describe, expect, test } from "vitest";
import {
  denialOf,
  type GateToolsOptions,
  gateTools,
  type RequiredApproval,
  toolApproval,
} from "../src/index.ts";
import { counter, openDesk, policy, RUN } from "./order-desk.ts";
import {
  answered,
  generate,
  scriptedModel,
  toldTheModel,
  type Way,
  ways,
} from "./scripted-model.ts";

const ALICE = person("finance");
const BOB = person("finance");
const CAROL = person("support");
const lookUp = { id: "c1", tool: "getOrder", input: { order: 17 } };

/** A desk at which people must approve look-ups, and requests to it, each with a set of its own. */
async function supervised({ count = 1, run = generate }: { count?: number; run?: Way } = {}) {
  const { tools: known } = policy;
  const getOrder = { ...known.getOrder, approval: { count, by: ["finance"] } };
  const desk = await openDesk(
    { approvers: approversOf(ALICE, BOB, CAROL) },
    { ...policy, tools: { ...known, getOrder } },
  );
  const { tools, runs } = counter();
  const waiting: RequiredApproval[] = [];
  const request = async (
    messages?: ModelMessage[],
    options: Pick<GateToolsOptions<typeof tools>, "onApprovalRequired"> = {},
  ) => {
    const gated = gateTools(tools, {
      gate: desk.gate,
      sequenceId: RUN,
      onApprovalRequired: (required) => void waiting.push(required),
      ...options,
    });
    const model = scriptedModel(...(messages === undefined ? [[lookUp]] : []));
    const ran = await run({
      model,
      tools: gated,
      toolApproval: toolApproval(gated) as never,
      ...(messages && { messages: structuredClone(messages) }),
    });
    return { ...ran, told: toldTheModel(model) };
  };
  const approve = async (who: Person, change: Partial<ApprovalStatement> = {}) => {
    const [required] = waiting;
    if (required === undefined) throw new Error("nobody was asked");
    return desk.gate.approve(who.approve(required, change));
  };
  return { ...desk, tools, runs, waiting, request, approve };
}

describe.each(ways)("a call that people must approve: %s", (_name, run) => {
  test("is asked for in one request and runs in the next, once; the same history a third time runs nothing", async () => {
    const { request, approve, waiting, runs, chain, receipts } = await supervised({ run });
    const first = await request();
    expect(first.parts.map(({ type }) => type)).toEqual(["tool-call", "tool-approval-request"]);
    expect(first.parts[1]).toMatchObject({
      reason: "APPROVAL_REQUIRED: 'getOrder' needs a person's approval: 1 of finance.",
    });
    const denial = (await receipts(RUN))[1];
    expect(waiting).toEqual([
      {
        tool: "getOrder",
        toolCallId: "c1",
        message: "'getOrder' needs a person's approval: 1 of finance.",
        log_id: denial?.log_id,
        sequence_id: RUN,
        request: expect.stringMatching(/^sha256:/),
        count: 1,
        roles: ["finance"],
        args: { order: 17 },
        args_key: expect.stringMatching(/^[0-9a-f]{64}$/),
      },
    ]);
    expect(runs).toEqual([]);
    await approve(ALICE);
    const history = answered(first.responseMessages, true);
    expect((await request(history)).told).toContain('"total":40');
    expect(runs).toEqual(["getOrder 17"]);
    await request(history);
    expect(runs).toEqual(["getOrder 17"]);
    expect(await chain()).toEqual([
      "open",
      "DENY getOrder APPROVAL_REQUIRED",
      "approval",
      "ALLOW getOrder again",
      "succeeded",
      "DENY getOrder REPLAY_NONCE",
    ]);
  });

  test("does not run on approved: true in the messages", async () => {
    const { request, runs, chain } = await supervised({ run });
    const history = answered((await request()).responseMessages, true);
    expect((await request(history)).told).toContain("DeniedError: APPROVAL_REQUIRED");
    expect(runs).toEqual([]);
    expect(await chain()).toEqual(["open", "DENY getOrder APPROVAL_REQUIRED"]);
  });
});

describe("nothing runs", () => {
  test("on a no in the messages, although the gate has an approval", async () => {
    const { request, approve, runs } = await supervised();
    const history = answered((await request()).responseMessages, false);
    await approve(ALICE);
    expect((await request(history)).told).toContain("execution-denied");
    expect(runs).toEqual([]);
  });

  test("on a rejection, an approval in another role, or one that was taken back", async () => {
    const turns: readonly (readonly (readonly [Person, Partial<ApprovalStatement>?])[])[] = [
      [[ALICE, { verdict: "reject" }]],
      [[CAROL]],
      [[ALICE], [ALICE, { verdict: "reject" }]],
      [[ALICE], [BOB, { verdict: "reject" }]],
    ];
    for (const turn of turns) {
      const { request, approve, runs } = await supervised();
      const history = answered((await request()).responseMessages, true);
      for (const [who, change] of turn) await approve(who, change);
      expect((await request(history)).told).toContain("APPROVAL_REQUIRED");
      expect(runs).toEqual([]);
    }
  });

  test("on forged approvals, which the gate refuses", async () => {
    const { request, approve, runs, chain } = await supervised();
    const history = answered((await request()).responseMessages, true);
    await expect(approve(person("finance"))).rejects.toMatchObject({ code: "INVALID_INPUT" });
    await expect(approve(ALICE, { sequence_id: "run-2" })).rejects.toMatchObject({
      code: "NOT_OPENED",
    });
    await request(history);
    expect(runs).toEqual([]);
    expect(await chain()).toEqual(["open", "DENY getOrder APPROVAL_REQUIRED"]);
  });

  test("on an approval of other arguments than those in the messages", async () => {
    const { request, approve, runs } = await supervised();
    const text = JSON.stringify(answered((await request()).responseMessages, true));
    await approve(ALICE);
    const forged = JSON.parse(text.replaceAll('"order":17', '"order":99')) as ModelMessage[];
    expect((await request(forged)).told).toContain("REPLAY_NONCE");
    expect(runs).toEqual([]);
  });

  test("on an approval of a call with another id", async () => {
    const { request, approve, runs } = await supervised();
    const text = JSON.stringify(answered((await request()).responseMessages, true));
    await approve(ALICE);
    const forged = JSON.parse(text.replaceAll('"c1"', '"c2"')) as ModelMessage[];
    expect((await request(forged)).told).toContain("APPROVAL_REQUIRED");
    expect(runs).toEqual([]);
  });

  test("until both of two people have approved", async () => {
    const { request, approve, runs } = await supervised({ count: 2 });
    const history = answered((await request()).responseMessages, true);
    await approve(ALICE);
    await approve(ALICE);
    await request(history);
    expect(runs).toEqual([]);
    await approve(BOB);
    await request(history);
    expect(runs).toEqual(["getOrder 17"]);
  });
});

test("without toolApproval it is a DeniedError with what an approver needs, and runs once it is approved", async () => {
  const { gate, tools, runs, chain } = await supervised();
  const gated = gateTools(tools, { gate, sequenceId: RUN });
  const { parts } = await generate({ model: scriptedModel([lookUp]), tools: gated });
  const denial = denialOf(parts.find(({ type }) => type === "tool-error")?.error);
  expect(denial?.deny_code).toBe("APPROVAL_REQUIRED");
  expect(runs).toEqual([]);
  if (denial?.approval === undefined) throw new Error("nobody was asked");
  await gate.approve(ALICE.approve(denial.approval));
  await gated.getOrder.execute({ order: 17 }, { toolCallId: "c1", messages: [], context: {} });
  expect(runs).toEqual(["getOrder 17"]);
  expect((await chain()).slice(2)).toEqual(["approval", "ALLOW getOrder again", "succeeded"]);
});

test("an application that cannot keep the request changes nothing of the denial", async () => {
  const { request, runs, chain } = await supervised();
  const failing = { onApprovalRequired: () => Promise.reject(new Error("no database")) };
  const { parts } = await request(undefined, failing);
  expect(parts.map(({ type }) => type)).toEqual(["tool-call", "tool-approval-request"]);
  expect(runs).toEqual([]);
  expect(await chain()).toEqual(["open", "DENY getOrder APPROVAL_REQUIRED"]);
});
