/** `stepgate decide`: one request from a file, or JSONL on stdin, through a gate on a store. */
import type { ActionInput, Decision, Gate, Mode } from "@stepgate/core";
import { type Command, Option } from "commander";
import { DEFAULT_KEYS, openGate } from "../open-gate.ts";
import { type ExitCode, type Output, printable, type Terminal } from "../output.ts";
import type { Define } from "../program.ts";
import { type Line, readBytes, readLines, unreadable } from "../reading.ts";
import { parseRequest } from "../request-text.ts";
import { DEFAULT_STORE, STORE_FORMS } from "../store-url.ts";

interface DecideOptions {
  readonly policy: string;
  readonly store: string;
  readonly keys: string;
  readonly mode?: Mode;
  readonly request?: string;
}

/** Adds the command. */
export function addDecide(program: Command, define: Define, stdin: Terminal["stdin"]): void {
  const command = program
    .command("decide")
    .description(
      "decide one request, or JSONL on stdin, one a line; exit 1 where anything was denied",
    )
    .requiredOption("--policy <file>", "the policy to decide under")
    .option("--store <url>", STORE_FORMS, DEFAULT_STORE)
    .option("--keys <folder>", "the gate's keys, made on first use", DEFAULT_KEYS)
    .addOption(
      new Option("--mode <mode>", "a shadow log is a store of its own").choices([
        "enforce",
        "shadow",
      ]),
    )
    .option("--request <file>", "a file with one request");
  define(command, (output, options: DecideOptions) => decideAll(output, options, stdin));
}

async function decideAll(
  output: Output,
  options: DecideOptions,
  stdin: Terminal["stdin"],
): Promise<ExitCode> {
  const { policy, store, keys, mode, request } = options;
  const name = request ?? "stdin";
  const lines =
    request === undefined
      ? readLines(stdin, name)
      : [{ number: 1, bytes: await readBytes(request) }];
  if (request === undefined && stdin.isTTY)
    output.error("reading requests from the terminal: one JSON object a line, then Ctrl-D");
  const gate = await openGate({ policy, store, keys, ...(mode === undefined ? {} : { mode }) });
  const progress = output.progress("decisions");
  try {
    let decided = 0;
    let denied = 0;
    for await (const line of lines) {
      const decision = await decideLine(output, gate, line, name);
      await print(output, decision);
      if (decision.decision !== "ALLOW") denied++;
      progress.at(++decided);
    }
    if (decided === 0) throw unreadable(name, "holds no request");
    return denied > 0 ? 1 : 0;
  } finally {
    progress.end();
    await gate.close();
  }
}

/** A text that is no JSON is a denial like any other, with its place on stderr. */
async function decideLine(
  output: Output,
  gate: Gate,
  { bytes, number }: Line,
  name: string,
): Promise<Decision> {
  const read = parseRequest(bytes, name, number);
  // Parsed further by the gate alone: what is no request is INVALID_REQUEST.
  if ("request" in read) return gate.decide(read.request as ActionInput);
  output.error(read.fault);
  return read.denial;
}

async function print(output: Output, decision: Decision): Promise<void> {
  if (output.json) return output.document(decision);
  const { receipt } = decision;
  const call = receipt?.tool ?? receipt?.function ?? "request";
  const place = receipt === undefined ? "" : ` (${receipt.sequence_id} #${receipt.seq})`;
  const answer =
    decision.decision === "ALLOW" ? output.paint("green", "ALLOW") : output.paint("red", "DENY ");
  const why =
    decision.decision === "ALLOW"
      ? ""
      : `${decision.deny_code}${decision.rule === undefined ? "" : ` [${decision.rule}]`}: `;
  await output.say(`${answer} ${printable(`${call}${place}: ${why}${decision.message}`)}`);
  if (decision.decision === "DENY" && decision.approval !== undefined)
    await output.say(`      stepgate approve --request ${decision.approval.request} --key KEY`);
}
