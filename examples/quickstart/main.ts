import { definePolicy, openGate } from "stepgate";

const policy = definePolicy({
  schema: "stepgate.policy/1", id: "refunds", version: "1", sequence: "lookup, refund",
  functions: { lookup: ["READ"], refund: ["WRITE_DB"] },
  tools: {
    get_order: { function: "lookup", action: "READ" },
    refund: { function: "refund", action: "WRITE_DB", when: "args.amount <= 100.0" },
  },
});
const gate = await openGate({ policy }); // receipts in ./stepgate.db, keys in ./.stepgate/
const sequence_id = crypto.randomUUID(); // one run of the policy
const call = (tool: string, args: { order: number; amount?: number }): Promise<void> =>
  gate.enforce({ sequence_id, tool, args }, () => `${tool} ran`).then(console.log, (e: Error) => console.log(e.message));
await call("refund", { order: 17, amount: 20 });
await call("get_order", { order: 17 });
await call("refund", { order: 17, amount: 900 });
await call("refund", { order: 17, amount: 20 });
await call("refund", { order: 17, amount: 20 });
