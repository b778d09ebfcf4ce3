/** Whether a server can keep a log, before any is entrusted to it. */
import type { StoreFinding } from "@stepgate/core";
import { unavailable } from "./connection.ts";
import { mustBeClient, newLink, type RedisClient } from "./redis-client.ts";
import { askFacts } from "./server-facts.ts";
import { type ServerDemands, serverFindings } from "./server-findings.ts";
import { openSession } from "./session.ts";

const TIMEOUT_MS = 5_000;

/**
 * What the server and its settings can keep of a store's promises, and what not, for a store of the same `replicas` and
 * `durability`. Changes nothing there. A server that cannot be asked is a finding too.
 */
export async function checkRedis(
  client: RedisClient,
  { replicas = 0, durability = "always" }: Partial<ServerDemands> = {},
): Promise<readonly StoreFinding[]> {
  mustBeClient(client);
  let findings: readonly StoreFinding[] = [];
  try {
    const session = await openSession(newLink(client, TIMEOUT_MS), {
      timeoutMs: TIMEOUT_MS,
      replicas: 0,
      writtenKey: "",
      async verify(commands) {
        findings = serverFindings(await askFacts(commands), { replicas, durability });
      },
    });
    await session.close();
    return findings;
  } catch (error) {
    const { message } = unavailable(error);
    return [{ check: "connection", level: "fault", message }];
  }
}
