/** `permittedTools`: the model is offered what the sequence admits now. */
import { generateText, isStepCount, type ToolSet } from "ai";
import { expect, test } from "vitest";
import { gateTools, permittedTools, toolApproval } from "../src/index.ts";
import { counter, openDesk, replaced, RUN } from "./order-desk.ts";
import { scriptedModel } from "./scripted-model.ts";

const lookUp = { id: "c1", tool: "getOrder", input: { order: 17 } };

test("each step of a run offers what the order admits then", async () => {
  const { gate, chain } = await openDesk();
  const gated = gateTools(counter().tools, { gate, sequenceId: RUN });
  const model = scriptedModel([lookUp], [{ id: "c2", tool: "refund", input: { order: 17 } }]);
  const settings = {
    tools: gated,
    toolApproval: toolApproval(gated),
    prepareStep: permittedTools(gated),
  };
  await generateText({ model, prompt: "go", ...settings, stopWhen: isStepCount(5) });
  expect(model.doGenerateCalls.map(({ tools }) => tools?.map(({ name }) => name))).toEqual([
    ["getOrder"],
    ["refund"],
    ["refund"],
  ]);
  expect(await chain()).toEqual([
    "open",
    "ALLOW getOrder",
    "succeeded",
    "ALLOW refund",
    "succeeded",
  ]);
});

test("a tool that is not offered the SDK refuses by itself: nothing runs, and there is no receipt", async () => {
  const { gate, chain } = await openDesk();
  const { tools, runs } = counter();
  const gated = gateTools(tools, { gate, sequenceId: RUN });
  const model = scriptedModel([{ id: "c1", tool: "wipe", input: {} }]);
  const { content } = await generateText({
    model,
    prompt: "go",
    tools: gated,
    prepareStep: permittedTools(gated),
  });
  expect(content.find(({ type }) => type === "tool-error")).toMatchObject({
    error: expect.stringContaining("unavailable tool 'wipe'"),
  });
  expect(runs).toEqual([]);
  expect(await chain()).toEqual([]);
});

test("only tools of the set are named, in its order", async () => {
  const { gate } = await openDesk();
  const { getOrder, wipe } = counter().tools;
  const gated: ToolSet = gateTools(
    { wipe, search: wipe, getOrder, code: wipe },
    { gate, sequenceId: RUN },
  );
  expect(await permittedTools(gated)()).toEqual({ activeTools: ["search", "getOrder", "code"] });
});

test("nothing is offered in a sealed sequence, without a sequence, or where the gate cannot say", async () => {
  const { gate } = await openDesk();
  const { tools } = counter();
  await gate.open({ sequence_id: RUN });
  await gate.seal(RUN, "enough");
  const down = replaced(gate, { state: () => Promise.reject(new Error("down")) });
  for (const options of [
    { gate, sequenceId: RUN },
    { gate, sequenceId: () => undefined },
    { gate: down, sequenceId: "run-2" },
  ]) {
    expect(await permittedTools(gateTools(tools, options))()).toEqual({ activeTools: [] });
  }
});

test("only the very object that gateTools returned is taken", async () => {
  const { gate } = await openDesk();
  const gated = gateTools(counter().tools, { gate, sequenceId: RUN });
  expect(() => permittedTools({ ...gated })).toThrow(
    "permittedTools: takes the very object that gateTools returned",
  );
});
