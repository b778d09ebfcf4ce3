/** The agent's run, with the model's choices written out: each call goes through the gate, under its own nonce. */
import { DeniedError, openGate } from "stepgate";

const gate = await openGate({ policy: "policy.yaml" }); // receipts in stepgate.db, keys in .stepgate/
const sequence_id = "T-3";
const context = { ticket: "T-3", email: "ana@example.com", orders: ["1007"] };
await gate.open({ sequence_id, context }); // what the application vouches for; the model cannot

const calls = [
  { tool: "refund_order", args: { order_id: "1007", amount: 80, reason: "damaged" } },
  { tool: "get_order", args: { order_id: "1007" } },
  { tool: "refund_order", args: { order_id: "1010", amount: 80, reason: "damaged" } },
  { tool: "refund_order", args: { order_id: "1007", amount: 80, reason: "damaged" } },
  { tool: "send_email", args: { to: "ana@example.com", body: "80 are on their way." } },
  { tool: "close_ticket", args: { ticket_id: "T-3" } },
];
for (const [index, call] of calls.entries()) {
  const request = { sequence_id, nonce: `call-${index}`, ...call };
  try {
    console.log(await gate.enforce(request, () => `${call.tool} ran`));
  } catch (error) {
    if (!DeniedError.isInstance(error)) throw error;
    console.log(error.message);
    if (error.decision.approval === undefined) continue;
    console.log(`waits for a person: ${error.decision.approval.request}`);
    break;
  }
}
await gate.close();
