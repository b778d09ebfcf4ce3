/** Options are checked when the guard is made: a wrong one stops the start, not a request. */
import { openTestGate } from "@stepgate/contract";
import { describe, expect, test } from "vitest";
import { guard } from "../src/index.ts";
import { ORDERS, send, serve } from "./route-server.ts";

const { gate } = await openTestGate(ORDERS);
const good = { gate, tool: "refund", sequenceId: () => "s", args: () => ({}) };

describe("a TypeError that names the option", () => {
  const wrong: readonly (readonly [why: string, change: object, message: RegExp])[] = [
    ["without a gate", { gate: undefined }, /gate/],
    ["with half a gate", { gate: { decide: gate.decide } }, /'outcome'/],
    ["without a call", { tool: undefined }, /tool/],
    ["with an empty tool", { tool: "" }, /'tool'/],
    ["with a tool that is no text", { tool: () => "refund" }, /'tool'/],
    ["with a function but no action type", { tool: undefined, function: "refund" }, /action_type/],
    [
      "with an action type but no function",
      { tool: undefined, action_type: "WRITE_DB" },
      /function/,
    ],
    ["with a tool and a function", { function: "refund", action_type: "WRITE_DB" }, /not both/],
    ["with a tool and a step", { step: "refund" }, /not both/],
    ["without a sequence id", { sequenceId: undefined }, /'sequenceId'/],
    ["with a constant sequence id", { sequenceId: "s" }, /'sequenceId'/],
    ["without arguments", { args: undefined }, /'args'/],
    ["with constant arguments", { args: {} }, /'args'/],
    ["with an unknown source of nonces", { nonce: "body" }, /'nonce'/],
    ["with an unknown onDeny", { onDeny: "ignore" }, /'onDeny'/],
    ["with an agent that is no function", { agent: { agent_id: "a" } }, /'agent'/],
    ["with a context that is no function", { context: { user: "u1" } }, /'context'/],
    ["with an outcome that is no function", { outcome: "succeeded" }, /'outcome'/],
    ["with an onOutcomeError that is no function", { onOutcomeError: "log" }, /'onOutcomeError'/],
    ["with a misspelt option", { sequenceID: () => "s" }, /'sequenceID'/],
  ];
  test.each(wrong)("%s", (_why, change, message) => {
    const make = (): unknown => guard({ ...good, ...change } as typeof good);
    expect(make).toThrow(TypeError);
    expect(make).toThrow(message);
  });
});

test("good options make a guard, and are copied: changing the object afterwards changes nothing", async () => {
  const options = { ...good, tool: "get_order", args: () => ({ n: 1 }) };
  const lookup = guard(options);
  options.tool = "close_order";
  options.args = () => ({ n: 2 });
  const served = await serve((app) => {
    app.get("/order", lookup, (_req, res) => void res.json(lookup.grant(res)));
  });
  const answer = await send(served, "GET", "/order");
  expect(JSON.parse(answer.text)).toMatchObject({
    args: { n: 1 },
    decision: { receipt: { tool: "get_order" } },
  });
});
