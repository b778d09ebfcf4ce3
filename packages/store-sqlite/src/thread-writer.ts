/** Writing in a thread of its own: the event loop goes on while it commits, and whatever becomes of it, answers are in time. */
import { once } from "node:events";
import { extname } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { Worker } from "node:worker_threads";
import { GateError } from "@stepgate/core";
import { packWrite } from "./packed-write.ts";
import { sharedNow } from "./patience.ts";
import type { Write, WriteAnswers, WriteOf, Writer } from "./write.ts";
import type { ThreadAnswer, ThreadData, ThreadQuestion } from "./writer-thread.ts";

/** A thread, from its start to its end; it is not started again. */
export interface ThreadWriter extends Writer {
  /** Resolves once the thread has the log open; never where it cannot. */
  readonly ready: Promise<void>;
}

/** What a thread is made of. */
export interface ThreadParts {
  /** Absolute. */
  readonly file: string;
  readonly busyTimeoutMs: number;
  /** Called once, when the thread has ended, whyever. */
  readonly ended: (reason: string) => void;
}

interface Entry {
  readonly write: Write;
  readonly expires: number;
  settled: boolean;
  resolve(answer: WriteAnswers[Write["kind"]]): void;
  reject(error: GateError): void;
}

/**
 * One batch is committed while the next one lies ready, and while what becomes of the one before is made of its answers:
 * so each is half of what there is. Below what is made in the time of a sync, some 20 µs each, that costs more than it saves.
 */
const BATCHES_UNDER_WAY = 2;
const MADE_IN_MS = 0.02;
/** How much of a sync's time is believed at once: some take many times the usual. */
const SYNC_WEIGHT = 1 / 8;
/** Beyond a write's own patience, for the way to the thread and back. */
const GRACE_MS = 50;
/** A thread that says nothing for so long is given up. */
const SILENCE_MS = 10_000;
const CLOSING_MS = 2000;

/** Starts a thread on the log, which must be there. While nothing is under way it keeps no process from ending. */
export function threadWriter({ file, busyTimeoutMs, ended }: ThreadParts): ThreadWriter {
  const worker = startWorker(file);
  const ready = Promise.withResolvers<void>();
  const underWay = new Map<number, readonly Entry[]>();
  let queue: Entry[] = [];
  let end: string | undefined;
  let batches = 0;
  let lastHeard = sharedNow();
  let watch: NodeJS.Timeout | undefined;
  let isPosting = false;
  let syncMs = 1;

  function submit<K extends Write["kind"]>(write: WriteOf<K>): Promise<WriteAnswers[K]> {
    const { promise, resolve, reject } = Promise.withResolvers<WriteAnswers[Write["kind"]]>();
    if (end !== undefined) {
      reject(unanswered(end));
    } else {
      queue.push({ write, expires: sharedNow() + busyTimeoutMs, settled: false, resolve, reject });
      postSoon();
    }
    // The thread answers each kind of write with its own kind of answer.
    return promise as Promise<WriteAnswers[K]>;
  }

  function postSoon(): void {
    if (isPosting || queue.length === 0 || underWay.size >= BATCHES_UNDER_WAY) return;
    isPosting = true;
    worker.ref();
    watch ??= setInterval(look, GRACE_MS).unref();
    setImmediate(post);
  }

  function post(): void {
    isPosting = false;
    if (end !== undefined) return;
    if (underWay.size === 0) lastHeard = sharedNow();
    while (queue.length > 0 && underWay.size < BATCHES_UNDER_WAY) postBatch();
  }

  function postBatch(): void {
    const open = [...underWay.values()].reduce((sum, { length }) => sum + length, queue.length);
    const entries = queue.splice(
      0,
      Math.max(Math.ceil(open / BATCHES_UNDER_WAY), Math.ceil(syncMs / MADE_IN_MS)),
    );
    const batch = ++batches;
    underWay.set(batch, entries);
    const writes = entries.map(({ write }) => packWrite(write));
    ask(worker, { batch, writes, expires: entries.map(({ expires }) => expires) });
  }

  function hear(answer: ThreadAnswer): void {
    lastHeard = sharedNow();
    if (answer === "ready") return ready.resolve();
    syncMs += SYNC_WEIGHT * (answer.syncMs - syncMs);
    const entries = underWay.get(answer.batch) ?? [];
    underWay.delete(answer.batch);
    for (const [index, entry] of entries.entries()) {
      const result = answer.results[index];
      entry.settled = true;
      if (typeof result === "string") entry.resolve(result);
      else entry.reject(unanswered(result?.fault ?? "it was not answered"));
    }
    postSoon();
    rest();
  }

  /** What waited too long is answered; what the thread has not been given yet is never written. */
  function look(): void {
    const now = sharedNow();
    const late = (entry: Entry): boolean => now > entry.expires + GRACE_MS;
    const entries = [...underWay.values()].flat();
    for (const entry of [...entries, ...queue]) {
      if (entry.settled || !late(entry)) continue;
      entry.settled = true;
      entry.reject(unanswered("the writing thread did not answer in time"));
    }
    queue = queue.filter(({ settled }) => !settled);
    if (underWay.size > 0 && now - lastHeard > SILENCE_MS) {
      finish("the writing thread fell silent");
      void worker.terminate();
    }
    rest();
    // Not sooner: to begin and end it for each of a few writes would cost more than to look in vain.
    if (underWay.size + queue.length === 0) endWatch();
  }

  function endWatch(): void {
    clearInterval(watch);
    watch = undefined;
  }

  function rest(): void {
    if (queue.length > 0) return;
    if ([...underWay.values()].flat().every(({ settled }) => settled)) worker.unref();
  }

  function finish(reason: string): void {
    if (end !== undefined) return;
    end = reason;
    const left = [...[...underWay.values()].flat(), ...queue];
    queue = [];
    underWay.clear();
    endWatch();
    for (const entry of left) if (!entry.settled) entry.reject(unanswered(reason));
    ended(reason);
  }

  worker.on("message", hear);
  worker.on("error", (error) => finish(`the writing thread failed: ${reasonOf(error)}`));
  worker.on("exit", () => finish("the writing thread ended"));
  worker.unref();

  return {
    ready: ready.promise,
    submit,
    async close() {
      while (end === undefined && queue.length + underWay.size > 0) await sleep(1);
      if (end !== undefined) return;
      worker.ref();
      ask(worker, "close");
      const timer = setTimeout(() => void worker.terminate(), CLOSING_MS);
      await once(worker, "exit");
      clearTimeout(timer);
    },
  };
}

/** From the sources as from the package: beside this file, and named like it. */
function startWorker(file: string): Worker {
  const script = new URL(`./writer-thread${extname(import.meta.url)}`, import.meta.url);
  // Of the program's own options none is for this thread; `--eval` or `--input-type` would even keep it from starting.
  return new Worker(script, {
    name: "stepgate-writer",
    workerData: { file } satisfies ThreadData,
    execArgv: [],
  });
}

function ask(worker: Worker, question: ThreadQuestion): void {
  worker.postMessage(question);
}

function unanswered(reason: string): GateError {
  return new GateError("STORE_UNAVAILABLE", `the store cannot be written: ${reason}`);
}

function reasonOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
