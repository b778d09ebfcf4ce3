/** Asks a server for what {@link serverFindings} judges. */
import { CONFIG_NAMES, type ServerFacts } from "./server-findings.ts";
import type { Commands } from "./session.ts";

/** One round trip. What the server does not tell is left out. */
export async function askFacts({ send }: Commands): Promise<ServerFacts> {
  const [info, ...config] = await Promise.all([
    send("INFO"),
    ...CONFIG_NAMES.map((name) => send("CONFIG", "GET", name).catch(notTold)),
  ]);
  return { info: readInfo(info), config: new Map(config.flatMap(pairs)) };
}

/** Only what a server said is an answer: a connection that ended is none. */
function notTold(error: unknown): readonly string[] {
  if (error instanceof Error && /^(?:NOPERM|ERR) /.test(error.message)) return [];
  throw error;
}

function readInfo(text: unknown): ReadonlyMap<string, string> {
  const lines = String(text).matchAll(/^([a-z0-9_]+):(.*?)\r?$/gm);
  return new Map(Array.from(lines, ([, name = "", value = ""]) => [name, value]));
}

function pairs(reply: unknown): readonly (readonly [string, string])[] {
  return Array.isArray(reply) && reply.length === 2 ? [[String(reply[0]), String(reply[1])]] : [];
}
