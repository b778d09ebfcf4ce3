/** The story: one run to its seal through three frameworks, then every way of stepping out of line. */
import type { Gate } from "stepgate";
import { runAiSdkAgent } from "./ai-sdk-agent.ts";
import { startLoanApi } from "./express-api.ts";
import { runLangChainAgent } from "./langchain-agent.ts";
import { ran } from "./loan-desk.ts";
import { narrated, provoked, say } from "./narrator.ts";

const SIX_CODES = [
  "SEALED_SEQUENCE",
  "REPLAY_NONCE",
  "SEQUENCE_VIOLATION",
  "NO_POLICY_MATCH",
  "ACTION_NOT_ALLOWED",
  "STALE_TIMESTAMP",
];
const SHOULD_RUN = [
  "read_application",
  "check_disruptions",
  "check_stability",
  "read_account",
  "assess_risk",
  "pay_out",
  "limits",
  "settlement",
  "read_application",
];

/** Tells the story on this gate. @throws Error where it did not go as told: the demo must not lie. */
export async function tellStory(gate: Gate): Promise<void> {
  const langchain = narrated(gate, "LangChain");
  const aiSdk = narrated(gate, "AI SDK");
  const api = await startLoanApi(narrated(gate, "Express"));
  try {
    say("One run, eight steps, three frameworks, one gate: loan-4711");
    await runLangChainAgent(langchain, "loan-4711", [
      ["read_application"],
      ["check_disruptions"],
      ["check_stability"],
      ["read_account"],
    ]);
    await runAiSdkAgent(aiSdk, "loan-4711", [["assess_risk"], ["pay_out", 9000]]);
    await api.post("loan-4711", "limits", "limits-of-4711");
    await api.post("loan-4711", "settlement");

    say("The last step sealed it. An agent that comes back finds the door shut");
    await runAiSdkAgent(aiSdk, "loan-4711", [["read_account"]]);
    say("A client that lost its answer tries again with the same nonce: nothing runs twice");
    await api.post("loan-4711", "limits", "limits-of-4711");
    say("An agent that was talked into paying out first: loan-4712");
    await runLangChainAgent(langchain, "loan-4712", [["read_application"], ["pay_out", 9000]]);
    say("An agent that calls a tool nobody put into the contract");
    await runAiSdkAgent(aiSdk, "loan-4712", [["delete_customer"]]);
    say("A route that writes during intake: loan-4713");
    await api.post("loan-4713", "correction");
    say("A request that lay in a queue for six minutes: loan-4714");
    await narrated(gate, "queue").decide({
      sequence_id: "loan-4714",
      tool: "read_application",
      args: { application: "loan-4714" },
      ts_ms: Date.now() - 6 * 60_000,
    });
  } finally {
    await api.close();
  }
  const missing = SIX_CODES.filter((code) => !provoked.has(code));
  if (missing.length > 0) throw new Error(`the story did not provoke ${missing.join(", ")}`);
  if (ran.join() !== SHOULD_RUN.join())
    throw new Error(`what ran is not what was allowed: ${ran.join()}`);
}
