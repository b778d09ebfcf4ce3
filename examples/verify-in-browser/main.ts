/** The page: takes files from a person, verifies them where they are, and shows what was found. */
import {
  type CompiledPolicy,
  type Finding,
  importKeySet,
  type KeySet,
  readCheckpoint,
  type SequenceReport,
  type Verdict,
  verifyFile,
  type VerifyOptions,
} from "@stepgate/core/verify";
import { parsePolicy } from "@stepgate/policy/compile";
import { element, keysView, policiesView, reportView, type Shown } from "./report-view.ts";

const KINDS = ["receipts", "keys", "checkpoint", "policies"] as const;
type Kind = (typeof KINDS)[number];

/** Counts runs up: one that is not the latest stops at its next chunk. */
let latest = 0;

for (const kind of KINDS) inputOf(kind).addEventListener("change", begin);
for (const type of ["dragover", "dragleave", "drop"] as const)
  addEventListener(type, (event) => {
    event.preventDefault();
    document.body.classList.toggle("dropping", type === "dragover");
    if (type === "drop") void drop([...(event.dataTransfer?.files ?? [])]);
  });

function inputOf(kind: Kind): HTMLInputElement {
  return find(`#${kind} input`, HTMLInputElement);
}

/** Puts files where they would have been chosen by hand. */
async function drop(files: readonly File[]): Promise<void> {
  const chosen = new Map<Kind, DataTransfer>();
  for (const file of files) {
    const kind = await kindOf(file);
    const alike = kind === "policies" ? chosen.get(kind) : undefined;
    const transfer = alike ?? new DataTransfer();
    transfer.items.add(file);
    chosen.set(kind, transfer);
  }
  for (const [kind, transfer] of chosen) inputOf(kind).files = transfer.files;
  begin();
}

/** Files say what they are: a note begins with its log's name, a JWKS is one object with `keys`, a policy names its language. */
async function kindOf(file: File): Promise<Kind> {
  const beginning = await file.slice(0, 2000).text();
  if (/^[^{\s][^\n]*\n\d+\n/.test(beginning)) return "checkpoint";
  if (/^\s*\{\s*"keys"\s*:/.test(beginning)) return "keys";
  const text = file.size > MAX_POLICY ? "" : await file.text();
  return /(?:^|[{,])\s*["']?schema["']?\s*:\s*["']?stepgate\.policy\//m.test(text)
    ? "policies"
    : "receipts";
}

/** What is larger is no policy, in bytes. */
const MAX_POLICY = 1024 * 1024;

/** Verifies once there are receipts and keys; whatever was under way is of no interest any more. */
function begin(): void {
  latest++;
  const [receipts, keys, checkpoint] = KINDS.map((kind) => inputOf(kind).files?.[0]);
  const policies = [...(inputOf("policies").files ?? [])];
  if (receipts !== undefined && keys !== undefined)
    void run(latest, { receipts, keys, checkpoint, policies });
}

/** What a person gave. */
interface Given {
  readonly receipts: File;
  readonly keys: File;
  readonly checkpoint: File | undefined;
  readonly policies: readonly File[];
}

async function run(id: number, { receipts, keys, checkpoint, policies }: Given): Promise<void> {
  show(element("p", {}, "Reading…"));
  try {
    const trusted = importKeySet(parsed(await keys.text()));
    const checkpoints = checkpoint && [await believed(await checkpoint.text(), trusted)];
    const compiled: CompiledPolicy[] = [];
    for (const policy of policies) compiled.push(await compile(policy));
    const shown = await verify(id, receipts, {
      keys: trusted,
      ...(checkpoints && { checkpoints }),
      ...(compiled.length > 0 && { policies: compiled }),
    });
    if (id === latest) show(...reportView(shown), keysView(trusted), ...policiesView(compiled));
  } catch (error) {
    if (id === latest) show(failure(error));
  }
  if (id === latest) find("#progress", HTMLElement).hidden = true;
}

/** Keeps what the page shows and no more, however long the file. */
async function verify(id: number, file: File, trust: VerifyOptions): Promise<Shown> {
  const findings: Finding[] = [];
  const sequences = new Map<Verdict, SequenceReport[]>();
  const bar = find("#progress", HTMLProgressElement);
  bar.hidden = false;
  const report = await verifyFile(file.stream(), {
    ...trust,
    finding: (one) => void (findings.length < SHOWN && findings.push(one)),
    sequence(one) {
      const alike = sequences.get(one.verdict) ?? [];
      if (alike.length < SHOWN) alike.push(one);
      sequences.set(one.verdict, alike);
    },
    progress(bytes) {
      if (id !== latest) throw new Error("other files were given");
      bar.value = file.size === 0 ? 1 : bytes / file.size;
    },
  });
  return { ...report, findings, sequences };
}

/** Of findings, and of sequences of each verdict. */
const SHOWN = 200;

/** A checkpoint that cannot be believed must not be passed over. */
async function believed(note: string, keys: KeySet): Promise<string> {
  try {
    return (await readCheckpoint(note, keys)).note;
  } catch (cause) {
    throw new Error(`The checkpoint: ${cause instanceof Error ? cause.message : ""}`, { cause });
  }
}

/** A policy that cannot be read must not be passed over. What is wrong with it is said with its line and column. */
async function compile(file: File): Promise<CompiledPolicy> {
  return parsePolicy(await file.text(), { file: file.name });
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    throw new Error('The public keys are no JSON; a key set is {"keys": [...]}');
  }
}

function failure(error: unknown): HTMLElement {
  const text = error instanceof Error ? error.message : String(error);
  const banner = element("div", { class: "banner bad" }, element("b", {}, "Could not verify"));
  banner.append(element("p", {}, text));
  return banner;
}

/** What is announced stands in `status`, the long rest beneath it. */
function show(first: HTMLElement, ...rest: readonly HTMLElement[]): void {
  find("#status", HTMLElement).replaceChildren(first);
  find("#report", HTMLElement).replaceChildren(...rest);
}

function find<E extends HTMLElement>(selector: string, type: new () => E): E {
  const found = document.querySelector(selector);
  if (!(found instanceof type)) throw new TypeError(`the page has no ${selector}`);
  return found;
}
