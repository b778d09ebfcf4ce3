/** `stepgate store`: whether a store can keep its promises, and what its operator does to it. */
import { GateError, type StoreFinding } from "@stepgate/core";
import type { Command } from "commander";
import type { ExitCode, Output } from "../output.ts";
import type { Define } from "../program.ts";
import { openExistingStore, schemeOf, shownStore, STORE_FORMS } from "../store-url.ts";
import { append } from "../trust.ts";

/** Adds the command and those below it. */
export function addStore(program: Command, define: Define): void {
  const store = program
    .command("store")
    .description("whether a store can keep its promises, and what its operator does to it");
  const checking = store
    .command("check")
    .description(
      "say whether this store and its settings can keep what a gate promises (exit 1 where not)",
    )
    .argument("<url>", STORE_FORMS);
  define(checking, check);
  const migrating = store
    .command("migrate")
    .description("make the tables of a log, or bring them up to date, as their owner (PostgreSQL)")
    .argument("<url>", "with the owner's name")
    .option(
      "--gate-role <role>",
      "a role that may read and insert afterwards, and nothing else (repeatable)",
      append,
      [],
    );
  define(migrating, migrate);
  const retiring = store
    .command("retire")
    .description(
      "remove whole sequences that are old, ended and covered by a checkpoint (PostgreSQL)",
    )
    .argument("<url>", "with the owner's name")
    .option("--days <n>", "how old, at least", "184")
    .option("--sooner", "agree that evidence is kept for less than six months");
  define(retiring, retire);
  const copying = store
    .command("backup")
    .description("copy the log as it is now, while gates go on (SQLite)")
    .argument("<url>", "sqlite:PATH")
    .argument("<file>", "a new file");
  define(copying, backUp);
}

async function check(output: Output, url: string): Promise<ExitCode> {
  const findings = await schemeOf(url).check(url);
  const faults = findings.filter(({ level }) => level === "fault").length;
  if (output.json) await output.document({ store: shownStore(url), sound: faults === 0, findings });
  for (const finding of findings) await say(output, finding);
  const verdict =
    faults === 0 ? "can keep its promises" : `cannot keep its promises: ${faults} to mend`;
  await output.say(`${shownStore(url)}: ${verdict}`);
  return faults === 0 ? 0 : 1;
}

const STYLES = { ok: "green", warning: "yellow", fault: "red" } as const;

async function say(
  output: Output,
  { check: what, level, message, fix }: StoreFinding,
): Promise<void> {
  await output.say(`${output.paint(STYLES[level], level.padEnd(8))}${what}: ${message}`);
  if (fix !== undefined) await output.say(`        ${output.paint("dim", `mend: ${fix}`)}`);
}

async function migrate(
  output: Output,
  url: string,
  { gateRole }: { readonly gateRole: readonly string[] },
): Promise<ExitCode> {
  const done = await able(url, "migrate")(url, gateRole);
  return told(output, url, { done }, done);
}

async function retire(
  output: Output,
  url: string,
  { days, sooner }: { readonly days: string; readonly sooner?: boolean },
): Promise<ExitCode> {
  if (!/^[0-9]{1,5}$/.test(days))
    throw new GateError("INVALID_INPUT", `--days ${days}: write a whole number of days`);
  const run = able(url, "retire");
  if (Number(days) < SIX_MONTHS_DAYS && sooner !== true)
    throw new GateError(
      "INVALID_INPUT",
      `--days ${days}: evidence is kept for six months (${SIX_MONTHS_DAYS} days) unless you say --sooner`,
    );
  const progress = output.progress("records");
  const retired = await run(url, {
    olderThanDays: Number(days),
    ...(sooner === true ? { sooner } : {}),
    progress: ({ records }) => progress.at(records),
  }).finally(() => progress.end());
  const { sequences, records, withoutIndex, withOpenAllow } = retired;
  const kept = [
    ...(withoutIndex > 0 ? [`${withoutIndex} that no checkpoint covers (stepgate archive)`] : []),
    ...(withOpenAllow > 0 ? [`${withOpenAllow} with an ALLOW without outcome`] : []),
  ];
  const left = kept.length === 0 ? "" : `; kept: ${kept.join(", ")}`;
  const removed = `${sequences} sequences with ${records} records removed${left}`;
  return told(output, url, { ...retired }, removed);
}

const SIX_MONTHS_DAYS = 184;

async function backUp(output: Output, url: string, file: string): Promise<ExitCode> {
  const run = able(url, "backUp");
  // Looks whether it is there: a copy of nothing would be a new, empty log.
  await (await openExistingStore(url)).close();
  const progress = output.progress("pages");
  const copied = await run(url, file, {
    progress: ({ pagesCopied }) => progress.at(pagesCopied),
  }).finally(() => progress.end());
  return told(output, url, { ...copied }, `${copied.records} records copied to ${copied.path}`);
}

const WORDS = {
  migrate: "needs no migration",
  retire: "removes nothing",
  backUp: "is backed up by its server's own means",
} as const;

/** What only some kinds of store can do. @throws GateError UNSUPPORTED. */
function able<What extends keyof typeof WORDS>(url: string, what: What) {
  const scheme = schemeOf(url);
  const run = scheme[what];
  if (run !== undefined) return run;
  throw new GateError("UNSUPPORTED", `${shownStore(url)}: this kind of store ${WORDS[what]}`);
}

async function told(
  output: Output,
  url: string,
  document: Readonly<Record<string, unknown>>,
  sentence: string,
): Promise<ExitCode> {
  if (output.json) await output.document({ store: shownStore(url), ...document });
  await output.say(`${shownStore(url)}: ${sentence}`);
  return 0;
}
