/** A new version goes live in a running gate, and back again. What has begun goes on under the version it began with. */
import { openGate } from "stepgate";

const gate = await openGate({ policy: "policy.yaml" });
const email = "bo@example.com";
await gate.open({ sequence_id: "T-4", context: { email } });
await gate.activate("policy-2.yaml"); // loaded, its tests played, then swapped: a signed record
await gate.open({ sequence_id: "T-5", context: { email } });

for (const sequence_id of ["T-4", "T-5"]) {
  const args = { to: email, body: "Hello?" }; // the ticket was not read
  const { decision, message, receipt } = await gate.decide({
    sequence_id,
    tool: "send_email",
    args,
  });
  console.log(`${sequence_id} version ${receipt?.policy_version}: ${decision}, ${message}`);
}

await gate.activate("policy.yaml"); // roll back: the same call, with the older policy
for (const { version, status } of gate.policies()) console.log(`version ${version} is ${status}`);
await gate.close();
