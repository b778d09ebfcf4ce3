/** `stepgate explain`: one request against a policy, check by check, with the line of the policy that refuses it. */
import { type Decision, GateError, type JsonObject } from "@stepgate/core";
import { type Command, Option } from "commander";
import type { Check, ExplainedCondition } from "../explained-checks.ts";
import { type Explanation, explainRequest } from "../explanation.ts";
import { type ExitCode, type Output, printable } from "../output.ts";
import { type PolicyFile, readPolicyFile } from "../policy-file.ts";
import type { Define } from "../program.ts";
import { readBytes, readJson, readText, unreadable } from "../reading.ts";
import { parseRequest } from "../request-text.ts";
import { openExistingStore } from "../store-url.ts";
import { append } from "../trust.ts";

interface ExplainOptions {
  readonly request: string;
  readonly receipts?: string;
  readonly store?: string;
  readonly context: readonly string[];
  readonly keys?: string;
  readonly approvers?: string;
  readonly at?: string;
}

/** Adds the command. */
export function addExplain(program: Command, define: Define): void {
  const command = program
    .command("explain")
    .description("every check of a request in order, and the one that fails; exit 1 where denied")
    .argument("<policy>", "the policy file")
    .requiredOption("--request <file>", "a file with one request")
    .option("--receipts <file>", "receipts so far; else the request is the first of its sequence")
    .addOption(
      new Option(
        "--store <url>",
        "the store of the sequence, in place of --receipts: its contexts and counters too",
      ).conflicts("receipts"),
    )
    .addOption(
      new Option(
        "--context <file>",
        "the sequence's trusted context, a JSON object (repeatable: in the order of the records)",
      )
        .default([])
        .argParser(append),
    )
    .option(
      "--keys <folder>",
      "the gate's keys, by which arguments and bound values are known again",
    )
    .option(
      "--approvers <jwks>",
      "people's public keys, with their roles (default: those in --keys)",
    )
    .option("--at <time>", "the gate's clock, as ISO 8601 or milliseconds (default: now)");
  define(command, explain);
}

async function explain(
  output: Output,
  policy: string,
  { request, at, store: url, context, approvers, ...rest }: ExplainOptions,
): Promise<ExitCode> {
  const clock = clockAt(at);
  const source = await readPolicyFile(policy);
  const read = parseRequest(await readBytes(request), request, 1);
  if ("fault" in read) output.error(read.fault);
  const known = {
    contexts: await Promise.all(context.map(readContext)),
    ...(approvers === undefined ? {} : { approvers }),
  };
  const store = url === undefined ? {} : { store: await openExistingStore(url) };
  const explanation = await explainRequest(source, read, {
    ...rest,
    ...known,
    ...store,
    clock,
  }).finally(() => store.store?.close());
  if (output.json) await output.document(documentOf(source, explanation));
  else await print(output, source, explanation);
  return explanation.decision.decision === "ALLOW" ? 0 : 1;
}

async function readContext(file: string): Promise<JsonObject> {
  const value = readJson(await readText(file), file);
  if (typeof value === "object" && value !== null && !Array.isArray(value))
    return value as JsonObject;
  throw unreadable(`${file}:1:1`, "a context is a JSON object");
}

function clockAt(at: string | undefined): () => number {
  if (at === undefined) return Date.now;
  const time = /^\d+$/.test(at) ? Number(at) : Date.parse(at);
  if (Number.isSafeInteger(time)) return () => time;
  throw new GateError("INVALID_INPUT", `--at ${at}: write 2026-02-22T12:00:00Z, or milliseconds`);
}

function documentOf(
  { policy: { id, version, digest } }: PolicyFile,
  { decision, checks, at, state }: Explanation,
): object {
  return {
    decision: decision.decision,
    ...refusalOf(decision),
    ...(at === undefined ? {} : { at }),
    message: decision.message,
    call: callOf(decision),
    checks,
    state,
    policy: { id, version, digest },
  };
}

function refusalOf(decision: Decision): object {
  return decision.decision === "ALLOW"
    ? {}
    : { deny_code: decision.deny_code, rule: decision.rule };
}

/** What the policy makes of the call, as far as it got. */
function callOf({ receipt }: Decision): Readonly<Record<string, string>> {
  const { tool, function: fn, action_type, step } = receipt ?? {};
  const members = { tool, function: fn, action_type, step };
  return Object.fromEntries(
    Object.entries(members).flatMap(([name, value]) =>
      value === undefined ? [] : [[name, value]],
    ),
  );
}

const MARKS: Readonly<Record<Check["result"], string>> = {
  passed: "ok",
  failed: "NO",
  "not reached": "--",
};

async function print(output: Output, source: PolicyFile, explanation: Explanation): Promise<void> {
  const { decision, checks, at, state } = explanation;
  const { id, version, digest } = source.policy;
  await output.say(`${source.file}: ${id} ${version} ${digest}`);
  const call = Object.entries(callOf(decision)).map(([name, value]) => `${name} ${value}`);
  if (call.length > 0) await output.say(`call: ${call.join(", ")}`);
  for (const check of checks) {
    await output.say(checkLine(output, check));
    for (const one of check.conditions ?? []) await output.say(conditionLine(output, one));
  }
  await output.say(verdict(output, decision));
  if (decision.decision === "DENY")
    await output.say(`rule ${decision.rule}${at === undefined ? "" : ` at ${at}`}`);
  const { next_steps, permitted_tools } = state;
  await output.say(`admissible: steps ${list(next_steps)}; tools ${list(permitted_tools)}`);
}

function checkLine(output: Output, { check, asks, result, code }: Check): string {
  const colour = result === "failed" ? "red" : result === "passed" ? "green" : "dim";
  const why = result === "failed" ? `: ${code}` : "";
  return `${check.padStart(6)}  ${output.paint(colour, MARKS[result])}  ${asks}${why}`;
}

function conditionLine(output: Output, { rule, holds, says, at }: ExplainedCondition): string {
  const mark = output.paint(holds ? "green" : "red", holds ? "ok" : "NO");
  return `            ${mark}  ${printable(`${rule}: ${says}`)}${at === undefined ? "" : ` (${at})`}`;
}

function verdict(output: Output, decision: Decision): string {
  const message = printable(decision.message);
  if (decision.decision === "ALLOW") return `${output.paint("green", "ALLOW")}: ${message}`;
  return `${output.paint("red", "DENY")} ${decision.deny_code}: ${message}`;
}

function list(names: readonly string[]): string {
  return names.length === 0 ? "none" : names.join(", ");
}
