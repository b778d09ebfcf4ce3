/** A report as a person reads it. Whatever comes from a file is set as text, never as markup. */
import type {
  CompiledPolicy,
  Finding,
  KeySet,
  SequenceReport,
  Summary,
  Verdict,
} from "@stepgate/core/verify";

/** A report, with as many of its findings and sequences as a page shows. */
export interface Shown extends Summary {
  readonly findings: readonly Finding[];
  readonly sequences: ReadonlyMap<Verdict, readonly SequenceReport[]>;
}

type Child = Node | string;

/** The verdict in a banner, to be announced, then figures and tables. */
export function reportView(shown: Shown): readonly [banner: HTMLElement, ...rest: HTMLElement[]] {
  return [bannerOf(shown), ...checkpointsOf(shown), ...findingsOf(shown), sequencesOf(shown)];
}

/** Which keys were believed: trust is the reader's, so they are shown to be compared. */
export function keysView(keys: KeySet): HTMLElement {
  const rows = [...keys.values()].map(({ jwk }) => [
    element("span", { class: "code" }, jwk.kid),
    jwk.roles === undefined ? "signs receipts" : `approves as ${jwk.roles.join(", ")}`,
    jwk.revoked_from === undefined ? validity(jwk) : `revoked from ${date(jwk.revoked_from)}`,
  ]);
  const caption =
    "The keys that you trusted. Compare their names with what you know from elsewhere.";
  return section("Keys", table(caption, ["Name (RFC 7638 thumbprint)", "Use", "Valid"], rows));
}

/** Which policies decisions were recomputed by; a digest is the identity of one. */
export function policiesView(policies: readonly CompiledPolicy[]): readonly HTMLElement[] {
  if (policies.length === 0) return [];
  const rows = policies.map(({ id, version, digest }) => [
    id,
    version,
    element("span", { class: "code" }, digest),
  ]);
  const caption = "Each decision was recomputed by the policy that its sequence was opened under.";
  return [section("Policies", table(caption, ["Policy", "Version", "Digest"], rows))];
}

const RESULTS = {
  sound: [
    "good",
    "SOUND",
    "Every record is in form, in its place and signed by a key that you trust.",
  ],
  invalid: [
    "bad",
    "INVALID",
    "Something was changed, removed, moved, added, signed by somebody else, or decided otherwise than its policy does.",
  ],
  undecided: ["unsure", "UNDECIDED", "A key is missing, or there is nothing to verify."],
} as const;

function bannerOf(shown: Shown): HTMLElement {
  const [tone, word, meaning] = RESULTS[shown.result];
  return element(
    "div",
    { class: `banner ${tone}` },
    element("b", {}, word),
    element("p", {}, meaning),
    element("p", { class: "soft" }, figures(shown)),
    element(
      "p",
      { class: "soft" },
      shown.recomputed
        ? "Decisions were recomputed by their policies, as far as that needs no arguments."
        : "Decisions were not recomputed: no policy was given.",
    ),
  );
}

/** `11 records, 2 sequences (1 SEALED, 1 OPEN), 1 ALLOW without outcome`. */
function figures({ records, verdicts, open_allows: open }: Shown): string {
  const counts = Object.entries(verdicts).filter(([, count]) => count > 0);
  const sequences = counts.reduce((total, [, count]) => total + count, 0);
  const each = counts.map(([verdict, count]) => `${count} ${verdict}`).join(", ");
  return [
    counted(records, "record"),
    `${counted(sequences, "sequence")}${each === "" ? "" : ` (${each})`}`,
    ...(open === 0 ? [] : [`${counted(open, "ALLOW")} without outcome`]),
  ].join(", ");
}

const CHECKPOINTS = {
  HOLDS: ["good", "The file holds all of it, unchanged."],
  FORK: ["bad", "The file tells another story: records were removed, rewritten or moved."],
  TRUNCATED: ["bad", "The file ends before it."],
} as const;

function checkpointsOf({ checkpoints = [] }: Shown): readonly HTMLElement[] {
  if (checkpoints.length === 0) return [];
  const rows = checkpoints.map(({ origin, size, result }) => {
    const [tone, meaning] = CHECKPOINTS[result];
    return [word(tone, result), origin, amount(size), meaning];
  });
  const names = ["Result", "Log", "Records", "What that means"];
  return [section("Checkpoint", table("Against what was kept elsewhere.", names, rows))];
}

function findingsOf({ findings, found }: Shown): readonly HTMLElement[] {
  const total = Object.values(found).reduce((sum, count) => sum + count, 0);
  if (total === 0) return [];
  const rows = findings.map(({ line, code, message, sequence_id = "", seq }) => [
    amount(line),
    element("span", { class: "code" }, code),
    sequence_id,
    seq === undefined ? "" : amount(seq),
    message,
  ]);
  const names = ["Line", "Finding", "Sequence", "Seq", "What is wrong"];
  return [section("Findings", table(shownOf(rows.length, total), names, rows))];
}

const WORST_FIRST = ["INVALID", "UNDECIDED", "UNENFORCED", "SEALED", "OPEN"] as const;
const TONES: Readonly<Record<Verdict, string>> = {
  INVALID: "bad",
  UNDECIDED: "unsure",
  UNENFORCED: "unsure",
  SEALED: "good",
  OPEN: "unsure",
};

/** The worst first. */
function sequencesOf({ sequences, verdicts }: Shown): HTMLElement {
  const total = Object.values(verdicts).reduce((sum, count) => sum + count, 0);
  const rows = WORST_FIRST.flatMap((verdict) => (sequences.get(verdict) ?? []).map(rowOf));
  const names = ["Verdict", "Sequence", "Records", "ALLOWs without outcome", "First finding"];
  return section("Sequences", table(shownOf(rows.length, total), names, rows));
}

function rowOf(one: SequenceReport): readonly Child[] {
  const { verdict, sequence_id, records, open_allows, first_finding: first } = one;
  return [
    word(TONES[verdict], verdict),
    element("span", { class: "code" }, sequence_id),
    amount(records),
    amount(open_allows.length),
    first === undefined ? "" : `${first.code} in line ${first.line}`,
  ];
}

function shownOf(shown: number, total: number): string {
  return shown === total ? `All ${total}.` : `The first ${shown} of ${total}.`;
}

function section(title: string, content: HTMLElement): HTMLElement {
  return element("section", {}, element("h2", {}, title), content);
}

function table(
  caption: string,
  names: readonly string[],
  rows: readonly (readonly Child[])[],
): HTMLElement {
  const head = names.map((name) => element("th", { scope: "col" }, name));
  const body = rows.map((cells) =>
    element("tr", {}, ...cells.map((cell) => (isCell(cell) ? cell : element("td", {}, cell)))),
  );
  return element(
    "div",
    { class: "table", tabindex: "0", role: "group", "aria-label": caption },
    element(
      "table",
      {},
      element("caption", {}, caption),
      element("thead", {}, element("tr", {}, ...head)),
      element("tbody", {}, ...body),
    ),
  );
}

function isCell(child: Child): boolean {
  return child instanceof HTMLTableCellElement;
}

function amount(value: number): HTMLElement {
  return element("td", { class: "number" }, String(value));
}

function word(tone: string, text: string): HTMLElement {
  return element("b", { class: tone }, text);
}

function counted(count: number, noun: string): string {
  return `${count} ${noun}${count === 1 ? "" : "s"}`;
}

function validity({ nbf, exp }: { readonly nbf?: number; readonly exp?: number }): string {
  const from = nbf === undefined ? "" : `from ${date(nbf)} `;
  return `${from}${exp === undefined ? "" : `until ${date(exp)}`}`.trim() || "always";
}

function date(seconds: number): string {
  return new Date(seconds * 1000).toISOString();
}

/** An element with attributes and children. */
export function element(
  name: string,
  attributes: Readonly<Record<string, string>>,
  ...children: readonly Child[]
): HTMLElement {
  const made = document.createElement(name);
  for (const [attribute, value] of Object.entries(attributes)) made.setAttribute(attribute, value);
  made.append(...children);
  return made;
}
