/** Test processes: scripts that are asked things over IPC, many at a time if need be. */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";

/** A running script. */
export interface ScriptProcess<Question extends object, Answer extends object> {
  readonly process: ChildProcess;
  /** Resolves to the answer. Rejects where the process ends before it answers. */
  ask(question: Question): Promise<Answer>;
  /** Lets it end by itself, and resolves to what it wrote to standard error. */
  end(): Promise<string>;
}

interface Envelope<T> {
  readonly id: number;
  readonly body: T;
}

/**
 * Starts a script, which answers with `answerQuestions`. Resolves when it has loaded. `enter` comes before the command,
 * e.g. to run it in a network namespace.
 */
export async function startScript<Question extends object, Answer extends object>(
  script: URL,
  environment: Readonly<Record<string, string>> = {},
  enter: readonly string[] = [],
): Promise<ScriptProcess<Question, Answer>> {
  // Without the options of the test runner, which would keep back warnings.
  const { NODE_OPTIONS: _, ...env } = process.env;
  const [command = process.execPath, ...words] = [
    ...enter,
    process.execPath,
    fileURLToPath(script),
  ];
  const child = spawn(command, words, {
    stdio: ["ignore", "ignore", "pipe", "ipc"],
    // Histories carry times as BigInt.
    serialization: "advanced",
    env: { ...env, ...environment },
  });
  let errors = "";
  const read = Promise.withResolvers<void>();
  child.stderr?.on("data", (chunk) => (errors += String(chunk))).once("close", read.resolve);
  // With what it died of: its errors are read to their end.
  const exit = once(child, "exit").then(() => read.promise);
  const waiting = new Map<number, PromiseWithResolvers<Answer>>();
  child.on("message", ({ id, body }: Envelope<Answer>) => waiting.get(id)?.resolve(body));
  const ended = (): Error => new Error(`${script.pathname} ended: ${errors}`);
  void exit.then(() => waiting.forEach(({ reject }) => reject(ended())));
  const expect = (id: number): Promise<Answer> => {
    const answer = Promise.withResolvers<Answer>();
    waiting.set(id, answer);
    return answer.promise.finally(() => waiting.delete(id));
  };
  let asked = LOADED;
  await expect(asked);
  return {
    process: child,
    async ask(body) {
      if (!child.connected) throw ended();
      const id = ++asked;
      const answer = expect(id);
      child.send(
        { id, body } satisfies Envelope<Question>,
        (error) => error && waiting.get(id)?.reject(error),
      );
      return answer;
    },
    end: async () => {
      if (child.connected) child.disconnect();
      await exit;
      return errors;
    },
  };
}

/** The other end, in the script: says that it has loaded, and answers every question. */
export function answerQuestions<Question, Answer>(
  answer: (question: Question) => Promise<Answer>,
): void {
  process.on("message", async ({ id, body }: Envelope<Question>) =>
    process.send?.({ id, body: await answer(body) }),
  );
  // Whoever asked is gone: work that goes on by itself must not outlive a test run that was cut off.
  process.once("disconnect", () => setTimeout(() => process.exit(1), LINGERS_MS).unref());
  process.send?.({ id: LOADED, body: {} });
}

const LOADED = 0;
const LINGERS_MS = 10_000;
