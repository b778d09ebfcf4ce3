/** The floor under the store: what this server does through this client where nothing is decided, a bare insert of a row. */
import type { RedisLink } from "@stepgate/store-redis";

/** Inserts a row into a stream under `prefix`, so that it is removed with a log of that prefix. */
export function floorOf(
  client: Pick<RedisLink, "sendCommand">,
  prefix: string,
): (row: string) => Promise<unknown> {
  return (row) => client.sendCommand(["XADD", `{${prefix}}:floor`, "*", "row", row]);
}
