/** A real Express app on loopback, real clients that speak to it, and the gate wrapped where a test must hold or break it. */
import { once } from "node:events";
import { type IncomingHttpHeaders, type OutgoingHttpHeaders, request } from "node:http";
import { connect, type Socket } from "node:net";
import type { Decision, Gate, OutcomeReceipt, Receipt } from "@stepgate/core";
import express, { type Express } from "express";
import { expect, onTestFinished, vi } from "vitest";

/** Refunds may repeat, closing needs one first; reads and audit events stand outside the order. */
export const ORDERS = {
  schema: "stepgate.policy/1",
  id: "orders",
  version: "1",
  sequence: "refund{1,40}, close",
  functions: {
    lookup: { step: "*", actions: ["READ"] },
    audit: { step: "*", actions: ["EMIT_EVENT"] },
    refund: ["WRITE_DB"],
    close: ["SEAL_SEQUENCE"],
  },
  tools: {
    get_order: { function: "lookup", action: "READ" },
    refund: { function: "refund", action: "WRITE_DB" },
    close_order: { function: "close", action: "SEAL_SEQUENCE" },
  },
  sealOn: ["SEAL_SEQUENCE"],
} as const;

/** Where an app listens. */
export interface Served {
  readonly url: string;
  readonly port: number;
}

/** Serves the routes on 127.0.0.1, any free port, until the test ends. */
export async function serve(routes: (app: Express) => void): Promise<Served> {
  const app = express();
  routes(app);
  const server = app.listen(0, "127.0.0.1");
  await once(server, "listening");
  onTestFinished(() => {
    server.close();
    server.closeAllConnections();
  });
  const address = server.address();
  if (address === null || typeof address === "string") throw new Error("the server has no port");
  return { url: `http://127.0.0.1:${address.port}`, port: address.port };
}

/** What came back. */
export interface Answer {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly text: string;
}

/** One request by node:http, which sends a header of several values several times, and the path as it stands. */
export async function send(
  { port }: Served,
  method: string,
  path: string,
  headers: OutgoingHttpHeaders = {},
  body?: string,
): Promise<Answer> {
  const outgoing = request({ host: "127.0.0.1", port, method, path, headers, agent: false });
  outgoing.end(body);
  const [incoming] = await once(outgoing, "response");
  let text = "";
  for await (const chunk of incoming) text += String(chunk);
  return { status: incoming.statusCode, headers: incoming.headers, text };
}

/** A POST of JSON. */
export function post(
  served: Served,
  path: string,
  body: unknown,
  headers: OutgoingHttpHeaders = {},
): Promise<Answer> {
  return send(
    served,
    "POST",
    path,
    { "content-type": "application/json", ...headers },
    JSON.stringify(body),
  );
}

/** Sends a whole request over a socket of its own, which the test may cut. */
export async function dial({ port }: Served, text: string): Promise<Socket> {
  const socket = connect(port, "127.0.0.1");
  socket.on("error", () => {});
  await once(socket, "connect");
  socket.write(text);
  return socket;
}

/** The text of a POST of JSON, as it goes over the wire. */
export function postText(path: string, body: unknown, headers = ""): string {
  const json = JSON.stringify(body);
  const lines = `POST ${path} HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: ${json.length}\r\n`;
  return `${lines}${headers}\r\n${json}`;
}

/** A gate whose decisions are made at once and held back until the test lets them go. */
export function heldGate(gate: Gate): {
  readonly gate: Gate;
  readonly decided: Promise<Decision>;
  release(): void;
} {
  const held = Promise.withResolvers<void>();
  const decided = Promise.withResolvers<Decision>();
  const decide: Gate["decide"] = async (input) => {
    const decision = await gate.decide(input);
    decided.resolve(decision);
    await held.promise;
    return decision;
  };
  return { gate: { ...gate, decide }, decided: decided.promise, release: held.resolve };
}

/** Every input that the gate was asked to decide, as it was when it was asked. */
export function watchedGate(gate: Gate): { readonly gate: Gate; readonly asked: unknown[] } {
  const asked: unknown[] = [];
  const decide: Gate["decide"] = (input) => {
    asked.push(structuredClone(input));
    return gate.decide(input);
  };
  return { gate: { ...gate, decide }, asked };
}

/** Kinds of a chain in short: `open`, `ALLOW`, a code, `outcome:<status>`, `context`, `seal`. */
export function story(receipts: readonly Receipt[]): string[] {
  return receipts.map((receipt) => {
    if (receipt.kind === "decision") return receipt.deny_code ?? receipt.decision;
    return receipt.kind === "outcome" ? `outcome:${receipt.status}` : receipt.kind;
  });
}

/** Waits for the chain to tell this story: an outcome is recorded after the answer. Then looks again for one too many. */
export async function expectStory(
  receipts: () => Promise<readonly Receipt[]>,
  expected: readonly string[],
): Promise<readonly Receipt[]> {
  await vi.waitFor(async () => expect(story(await receipts())).toEqual(expected), {
    timeout: 3000,
  });
  await new Promise((resolve) => setTimeout(resolve, 20));
  const chain = await receipts();
  expect(story(chain)).toEqual(expected);
  return chain;
}

/** The outcomes of a chain. */
export function outcomesOf(receipts: readonly Receipt[]): readonly OutcomeReceipt[] {
  return receipts.filter((receipt) => receipt.kind === "outcome");
}

/** Collects the process warnings of Stepgate until the test ends. */
export function collectWarnings(): string[] {
  const texts: string[] = [];
  const collect = (warning: Error): void => {
    if (warning.name === "StepgateWarning") texts.push(warning.message);
  };
  process.on("warning", collect);
  onTestFinished(() => void process.off("warning", collect));
  return texts;
}
