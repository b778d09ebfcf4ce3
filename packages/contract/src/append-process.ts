/** A process with a store of its own over a shared log, in which several clients read and append. */
import { appendClient, type NotedCall } from "./append-clients.ts";
import { answerQuestions } from "./child-process.ts";
import { type LogPlace, openLog } from "./store-under-test.ts";

/** Begins the work of some clients at once. */
export interface ClientsQuestion {
  readonly log: LogPlace;
  readonly clients: readonly string[];
  readonly sequences: readonly string[];
  readonly calls: number;
  readonly seed: number;
}

/** What they noted. */
export interface ClientsAnswer {
  readonly notes: readonly NotedCall[];
}

answerQuestions<ClientsQuestion, ClientsAnswer>(async ({ log, clients, seed, ...work }) => {
  const store = await openLog(log, { patienceMs: 30_000 });
  const notes = await Promise.all(
    clients.map((name, nth) => appendClient({ store, name, seed: seed + nth, ...work })),
  );
  await store.close();
  return { notes: notes.flat() };
});
