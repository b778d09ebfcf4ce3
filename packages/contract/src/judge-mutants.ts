/** Puts mutants before both verifiers: core's must say what is expected, and the second one the very same. */
import { importKeySet, type VerificationReport, createVerifier } from "@stepgate/core";
import type { Expected, Mutant } from "./mutant.ts";
import {
  type SecondReport,
  secondVerifier,
  type SecondTrust,
  verifyAgain,
} from "./second-verifier.ts";

/** Both answers to one file. */
export interface Judged {
  readonly core: VerificationReport;
  readonly second: SecondReport;
}

/** What came of one mutant. */
export interface Judgement {
  /** Its first finding, or the verdicts where there is none. */
  readonly found: string;
  /** Why the verifiers are not of one mind, or not of the expected one; undefined where they are. */
  readonly fault?: string;
}

/** Judges mutants of files that are read under this trust, but where a mutant says otherwise. */
export function mutantJudge(sound: SecondTrust): (mutant: Mutant) => Judgement {
  const remembering = secondVerifier(sound);
  return (mutant) => {
    const trust = { ...sound, ...mutant.trust };
    const core = judgeByCore(mutant.file, trust);
    const second =
      mutant.trust === undefined ? remembering(mutant.file) : verifyAgain(mutant.file, trust);
    const [one, other] = [told(core), toldAgain(second)];
    const verdicts = [...new Set(second.verdicts.values())].toSorted().join();
    const found = second.findings[0]?.code ?? (verdicts === "" ? "nothing is left" : verdicts);
    if (one !== other)
      return { found, fault: `${mutant.name}: core says ${one}, the second verifier ${other}` };
    const fault = unexpected(mutant.expected, second);
    return fault === undefined
      ? { found }
      : { found, fault: `${mutant.name}: ${fault}; said ${one}` };
  };
}

/** Reads the bytes of a file with both verifiers. */
export function judge(file: Uint8Array, trust: SecondTrust): Judged {
  return { core: judgeByCore(file, trust), second: verifyAgain(file, trust) };
}

function judgeByCore(file: Uint8Array, trust: SecondTrust): VerificationReport {
  const verifier = createVerifier({
    keys: importKeySet(trust.keys),
    hmacKeys: Object.fromEntries(trust.secrets ?? []),
    require: trust.require ?? "ed25519",
    ...(trust.checkpoints === undefined ? {} : { checkpoints: trust.checkpoints }),
  });
  let from = 0;
  for (let end = file.indexOf(10); end >= 0; end = file.indexOf(10, from)) {
    verifier.line(file.subarray(from, end));
    from = end + 1;
  }
  if (from < file.length) verifier.unterminated();
  return verifier.report();
}

function unexpected(expected: Expected, { findings, verdicts }: SecondReport): string | undefined {
  const [first] = findings;
  if (expected === "gone" || "verdict" in expected) {
    if (first !== undefined)
      return `${first.code} at line ${first.line} where nothing can be known`;
    const verdict = [...verdicts.values()].join();
    const wanted = expected === "gone" ? "" : expected.verdict;
    return verdict === wanted ? undefined : `${verdict} instead of ${wanted}`;
  }
  if ("findings" in expected) {
    const all = findings.map(({ line, code }) => `${line} ${code}`).join(", ");
    const wanted = expected.findings.join(", ");
    return all === wanted ? undefined : `${all || "nothing"} instead of ${wanted}`;
  }
  const { lines, codes } = expected;
  if (first !== undefined && lines.includes(first.line) && codes.includes(first.code))
    return undefined;
  const found = first === undefined ? "nothing" : `${first.code} at line ${first.line}`;
  return `${found} instead of ${codes.join(" or ")} at line ${lines.join(" or ")}`;
}

function told({ result, findings, sequences }: VerificationReport): string {
  return JSON.stringify([
    result,
    findings
      .toSorted((one, other) => one.line - other.line)
      .map(({ line, code }) => `${line} ${code}`),
    sequences.map(({ sequence_id, verdict }) => `${sequence_id} ${verdict}`).toSorted(),
    sequences.flatMap(({ open_allows }) => open_allows).toSorted(),
  ]);
}

function toldAgain({ result, findings, verdicts, open }: SecondReport): string {
  return JSON.stringify([
    result,
    findings.map(({ line, code }) => `${line} ${code}`),
    [...verdicts].map(([id, verdict]) => `${id} ${verdict}`).toSorted(),
    open.toSorted(),
  ]);
}
