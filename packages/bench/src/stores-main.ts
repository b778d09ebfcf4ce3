/** `pnpm bench:stores [--store sqlite,…] [--rounds 5] [--ms 1000] [--json]`: durable decisions beside each engine's own floor. */
import { parseArgs } from "node:util";
import { machine } from "./print.ts";
import { ENGINES } from "./store-engines.ts";
import { type EngineRates, measureEngine } from "./store-rates.ts";

const { values } = parseArgs({
  options: {
    store: { type: "string", default: Object.keys(ENGINES).join() },
    rounds: { type: "string", default: "5" },
    ms: { type: "string", default: "1000" },
    json: { type: "boolean", default: false },
  },
});
const pace = {
  inFlight: [1, 8, 64, 512],
  cellMs: Number(values.ms),
  rounds: Number(values.rounds),
};
if (!(pace.cellMs > 0 && pace.rounds > 0))
  throw new TypeError("--ms and --rounds are numbers above 0");
if (!values.json) console.log(`Node ${machine().node}, ${machine().cores} × ${machine().cpu}`);
const engines: EngineRates[] = [];
for (const name of values.store.split(",")) {
  const start = ENGINES[name];
  if (start === undefined)
    throw new TypeError(`--store ${name}: one of ${Object.keys(ENGINES).join(", ")}`);
  const engine = await start();
  if (typeof engine === "string") {
    console.error(`${name}: left out: ${engine}`);
    continue;
  }
  try {
    const measured = await measureEngine(engine, pace, (done, all) => progress(name, done, all));
    engines.push(measured);
    if (!values.json) print(measured);
  } finally {
    await engine.close();
  }
}
if (values.json) console.log(JSON.stringify({ machine: machine(), pace, engines }));

function progress(name: string, done: number, all: number): void {
  if (process.stderr.isTTY)
    process.stderr.write(`\r${name}: ${done} of ${all} cells${done === all ? "\n" : ""}`);
}

function print({ engine, durability, rowBytes, rates }: EngineRates): void {
  console.log(
    `\n${engine} (${durability}); rows of ${rowBytes} bytes; medians of ${pace.rounds} rounds`,
  );
  const heads = [
    "in flight",
    "decisions/s",
    "p50 ms",
    "p99 ms",
    "bare rows/s",
    "grouped/s",
    "÷ floor",
  ];
  console.log(heads.map((head) => head.padStart(12)).join(""));
  for (const { inFlight, decisions, p50, p99, single, grouped, ratio } of rates) {
    const cells = [
      inFlight,
      rate(decisions),
      p50.toFixed(2),
      p99.toFixed(2),
      rate(single),
      rate(grouped),
    ];
    console.log([...cells, ratio.toFixed(2)].map((cell) => String(cell).padStart(12)).join(""));
  }
}

function rate(perSecond: number): string {
  return Math.round(perSecond).toLocaleString("en");
}
