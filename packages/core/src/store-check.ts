/** Whether a server and its settings can keep what a store promises (store.ts): the answer that every store gives alike. */

/** One thing that was looked at. */
export interface StoreFinding {
  /** What was looked at: a setting's own name, or a few words. */
  readonly check: string;
  /** `fault`: a promise cannot be kept, and a gate must not start. `warning`: it is kept but for a stated case. */
  readonly level: "ok" | "warning" | "fault";
  /** One sentence: what was found, and what follows for receipts and actions. */
  readonly message: string;
  /** What to change, as its user would type it. */
  readonly fix?: string;
}
