/** What `stepgate verify` says: findings as they are found, then verdicts, the worst first. */
import type {
  CheckpointReport,
  Finding,
  SequenceReport,
  Summary,
  VerificationReport,
  Verdict,
} from "@stepgate/core";
import { type Output, printable } from "./output.ts";
import { printFinding } from "./trust.ts";

/** Takes what is found, in this order; nothing of it is kept but what a person can read. */
export interface ReportWriter {
  finding(finding: Finding): Promise<void>;
  sequence(sequence: SequenceReport): Promise<void>;
  end(report: Summary): Promise<void>;
}

/** One JSON document, written as it comes: `{file, findings, sequences, …}` with the figures last. */
export function jsonReport(output: Output, file: string): ReportWriter {
  const lists = ["findings", "sequences"] as const;
  let list = -1;
  let separator = "";

  /** Closes what is open, so that this list is. An unreadable file has no beginning of a document. */
  async function enter(name: (typeof lists)[number] | undefined): Promise<void> {
    const wanted = name === undefined ? lists.length : lists.indexOf(name);
    for (; list < wanted; separator = "") {
      await output.text(list < 0 ? `{"file":${JSON.stringify(file)},` : "],");
      if (++list < lists.length) await output.text(`"${lists[list]}":[`);
    }
  }

  async function add(name: (typeof lists)[number], item: object): Promise<void> {
    await enter(name);
    await output.text(`${separator}${JSON.stringify(item)}`);
    separator = ",";
  }

  return {
    finding: (finding) => add("findings", finding),
    sequence: (sequence) => add("sequences", sequence),
    async end(report) {
      await enter(undefined);
      await output.line(JSON.stringify(report).slice(1));
    },
  };
}

/** Of each sort so many are shown: nobody reads more, and `--json` has all. */
const SHOWN = 50;
/** Of one sequence. */
const SHOWN_ALLOWS = 10;

/** Lines for people: findings on stderr, all else on stdout. */
export function textReport(output: Output, file: string): ReportWriter {
  const shown = new Map<Verdict, SequenceReport[]>();
  let findings = 0;
  return {
    async finding(finding) {
      if (++findings <= SHOWN) printFinding(output, file, finding);
    },
    async sequence(sequence) {
      const { verdict, open_allows } = sequence;
      const same = shown.get(verdict) ?? [];
      shown.set(verdict, same);
      if (same.length < SHOWN)
        same.push({ ...sequence, open_allows: open_allows.slice(0, SHOWN_ALLOWS + 1) });
    },
    async end(report) {
      if (findings > SHOWN)
        output.error(`${file}: ${many(findings - SHOWN, "more finding")}; --json lists them all`);
      for (const [verdict, count] of verdictsOf(report))
        await printVerdict(output, verdict, count, shown.get(verdict) ?? [], report);
      for (const checkpoint of report.checkpoints ?? [])
        await printCheckpoint(output, checkpoint, report.records);
      if (!report.recomputed) await output.say("decisions not recomputed: no --policy was given");
      await output.say(`${file}: ${figures(report)}: ${summary(output, report, findings)}`);
    },
  };
}

/** The verdicts that there are, the worst first. */
function verdictsOf({ verdicts }: Summary): readonly (readonly [Verdict, number])[] {
  return ORDER.map((verdict) => [verdict, verdicts[verdict]] as const).filter(([, n]) => n > 0);
}

const ORDER = ["INVALID", "UNDECIDED", "UNENFORCED", "SEALED", "OPEN"] as const;

async function printVerdict(
  output: Output,
  verdict: Verdict,
  count: number,
  sequences: readonly SequenceReport[],
  report: Summary,
): Promise<void> {
  const covered = report.checkpoints?.some(({ result }) => result === "HOLDS") ?? false;
  const meaning = verdict === "OPEN" && covered ? OPEN_SINCE : MEANINGS[verdict];
  const word = output.paint(colourOf(verdict), verdict.padEnd(10));
  for (const { sequence_id, records, open_allows, first_finding: first } of sequences) {
    const why = first === undefined ? meaning : `${first.code} in line ${first.line}`;
    await output.say(`${word} ${printable(sequence_id)}: ${many(records, "record")}; ${why}`);
    for (const hash of open_allows.slice(0, SHOWN_ALLOWS))
      await output.say(`${INDENT}ALLOW without outcome: ${printable(hash)}`);
    if (open_allows.length > SHOWN_ALLOWS) await output.say(`${INDENT}and more; --json lists all`);
  }
  const more = count - sequences.length;
  if (more > 0) await output.say(`${word} and ${many(more, "more sequence")}; ${meaning}`);
}

const INDENT = " ".repeat(11);

function colourOf(verdict: Verdict): "green" | "red" | "yellow" {
  if (verdict === "SEALED") return "green";
  return verdict === "INVALID" ? "red" : "yellow";
}

/** What a verdict says, and what it cannot. */
const MEANINGS: Readonly<Record<Verdict, string>> = {
  SEALED: "no new action was allowed after the seal",
  OPEN: "sound so far; a missing tail cannot be excluded",
  UNENFORCED: "a shadow run: decisions were recorded, not enforced",
  INVALID: "not sound",
  UNDECIDED: "a key is missing",
};

const OPEN_SINCE = "sound so far; only a tail after the last checkpoint can be missing";

async function printCheckpoint(
  output: Output,
  { origin, size, result }: CheckpointReport,
  records: number,
): Promise<void> {
  const says = {
    HOLDS: `the log goes on from it; ${many(records - size, "record")} came after it`,
    FORK: "the file says otherwise",
    TRUNCATED: "the file ends before it",
  };
  await output.say(
    `${output.paint(result === "HOLDS" ? "green" : "red", result.padEnd(10))} checkpoint ${printable(origin)}, ${many(size, "record")}: ${says[result]}`,
  );
}

/** `11 records, 2 sequences (1 SEALED, 1 OPEN), 1 ALLOW without outcome`. */
function figures(report: Summary): string {
  const counts = verdictsOf(report);
  const sequences = counts.reduce((total, [, count]) => total + count, 0);
  const each = counts.map(([verdict, count]) => `${number(count)} ${verdict}`).join(", ");
  const { records, open_allows: open } = report;
  return [
    many(records, "record"),
    `${many(sequences, "sequence")}${each === "" ? "" : ` (${each})`}`,
    ...(open === 0 ? [] : [`${many(open, "ALLOW")} without outcome`]),
  ].join(", ");
}

function summary(
  output: Output,
  { result, records }: Pick<VerificationReport, "result" | "records">,
  findings: number,
): string {
  if (result === "sound") return output.paint("green", "sound");
  if (result === "invalid") return output.paint("red", `INVALID, ${many(findings, "finding")}`);
  return output.paint(
    "yellow",
    records === 0 ? "could not decide, there are no records" : "could not decide, a key is missing",
  );
}

/** `1 record`, `2,000 records`. */
function many(count: number, what: string): string {
  return `${number(count)} ${what}${count === 1 ? "" : "s"}`;
}

function number(count: number): string {
  return count.toLocaleString("en");
}
