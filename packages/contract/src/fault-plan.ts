/** What is done to gates, networks and servers, as a seed has it: the same seed is the same plan. */
import type { ClockFault } from "./fault-process.ts";
import type { NetworkFault } from "./fault-proxy.ts";
import { seededRandom } from "./seeded-random.ts";

/** Faults that any store's gates can meet. */
export const GATE_FAULTS = [
  "none",
  "gate-killed",
  "gate-paused",
  "clock-forward",
  "clock-backward",
  "clock-frozen",
  "too-many-files",
] as const;
/** Faults of the way to a server. */
export const NETWORK_FAULTS = [
  "network-slow",
  "network-throttled",
  "network-reset-up",
  "network-reset-down",
  "network-blackhole",
  "network-half-open",
  "network-cut",
] as const;
/** Faults of a server that the test may kill. */
export const SERVER_FAULTS = ["server-killed", "server-frozen", "server-and-gate-killed"] as const;

/** Only between gates in network namespaces: one is cut off, and nobody is told. */
export const PARTITION = "network-partitioned";

/** One of the faults above, or one that a kind of store brings along. */
export type FaultKind =
  | (typeof GATE_FAULTS)[number]
  | (typeof NETWORK_FAULTS)[number]
  | (typeof SERVER_FAULTS)[number]
  | typeof PARTITION
  | `store-${string}`;

/** One scenario. */
export interface FaultPlan {
  readonly seed: number;
  readonly kind: FaultKind;
  /** Which of the two gates it is done to. */
  readonly victim: 0 | 1;
  /** Whether the network's fault is done to both. */
  readonly both: boolean;
  /** How long the clients work before, and how long the fault lasts. */
  readonly afterMs: number;
  readonly lastsMs: number;
  readonly network?: NetworkFault;
  readonly clock?: ClockFault;
}

/** The plan of a seed: the seed picks the kind in turn, so that so many seeds in a row have had each. */
export function planFault(seed: number, kinds: readonly FaultKind[]): FaultPlan {
  const kind = kinds[seed % kinds.length];
  if (kind === undefined) throw new TypeError("there is no kind of fault to choose from");
  const random = seededRandom(seed);
  const between = (least: number, most: number): number =>
    Math.round(least + random() * (most - least));
  const plan = {
    seed,
    kind,
    victim: random() < 0.5 ? 0 : 1,
    both: random() < 0.5,
    afterMs: between(30, 300),
    lastsMs: between(50, kind.startsWith("clock") ? 400 : 1_600),
  } as const;
  const network = networkFault(kind, between);
  const clock = CLOCKS[kind];
  return {
    ...plan,
    ...(network === undefined ? {} : { network }),
    ...(clock === undefined ? {} : { clock }),
  };
}

const CLOCKS: Readonly<Record<string, ClockFault>> = {
  "clock-forward": "forward",
  "clock-backward": "backward",
  "clock-frozen": "frozen",
};

function networkFault(
  kind: FaultKind,
  between: (least: number, most: number) => number,
): NetworkFault | undefined {
  switch (kind) {
    case "network-slow":
      return { kind: "delay", ms: between(5, 900) };
    case "network-throttled":
      return { kind: "throttle", bytesPerSecond: between(500, 20_000) };
    case "network-reset-up":
      return { kind: "reset", direction: "up", afterBytes: between(0, 6_000) };
    case "network-reset-down":
      return { kind: "reset", direction: "down", afterBytes: between(0, 1_000) };
    case "network-blackhole":
      return { kind: "blackhole" };
    case "network-half-open":
      return { kind: "half-open" };
    case "network-cut":
      return { kind: "cut" };
    // With the limit on files: connections must be made anew, and cannot be.
    case "too-many-files":
      return { kind: "reset", direction: "up", afterBytes: 0 };
    default:
      return undefined;
  }
}
