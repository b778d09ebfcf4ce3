/**
 * Mutation testing of core's rooms by Stryker: `node mutation-main.ts [room[:from-to,…]…]`, all rooms by default, or lines of one. Fails where fewer than
 * 95 of 100 mutants are killed. What survives stands in packages/core/test/SURVIVORS.md, each with its reason.
 */
import { existsSync, mkdirSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { Stryker } from "@stryker-mutator/core";

/** The tests of each room, those that are quick: each mutant runs those of them that reach it. */
const ROOMS: Readonly<Record<string, readonly string[]>> = {
  decide: ["decide"],
  "canonical-json": ["canonical-json"],
  merkle: ["merkle"],
  receipt: ["receipt-shape", "published-vectors"],
  "verify-record": ["verify-record"],
  "verify-chain": ["verify-chain"],
  "verify-batch": ["batch-verifier"],
  "verify-log": ["log-check"],
  "verify-decision": ["verify-decision"],
  verify: ["verify-lines"],
  "verify-lines": ["verify-lines"],
};

const SANDBOX = join(tmpdir(), `stepgate-mutation-${process.pid}`);

process.chdir(fileURLToPath(new URL("../../..", import.meta.url)));
mkdirSync(SANDBOX);
// Public vectors lie beside the repository, and are looked for beside the sandbox.
if (existsSync("../shared")) symlinkSync(join(process.cwd(), "../shared"), join(SANDBOX, "shared"));
process.on("exit", () => rmSync(SANDBOX, { recursive: true, force: true }));
const asked = process.argv.slice(2);
for (const room of asked.length > 0 ? asked : Object.keys(ROOMS)) {
  const [name = "", lines] = room.split(":");
  writeFileSync(join(SANDBOX, "tests.json"), JSON.stringify(testsOf(name)));
  await new Stryker(optionsOf(name, lines)).runMutationTest();
}

/** For vitest's own configuration: with Stryker's `testFiles` a mutant of a constant would never come to life. */
function testsOf(room: string): readonly string[] {
  const tests = ROOMS[room];
  if (tests === undefined)
    throw new TypeError(`there is no room ${room}; there are ${Object.keys(ROOMS).join(", ")}`);
  return tests.map((test) => `packages/core/test/${test}.test.ts`);
}

function optionsOf(
  room: string,
  lines: string | undefined,
): ConstructorParameters<typeof Stryker>[0] {
  const source = `packages/core/src/${room}.ts`;
  return {
    mutate: lines?.split(",").map((range) => `${source}:${range}`) ?? [source],
    testRunner: "vitest",
    plugins: [import.meta.resolve("@stryker-mutator/vitest-runner")],
    vitest: { configFile: "packages/contract/test/mutation-vitest.ts", related: false },
    coverageAnalysis: "perTest",
    concurrency: 1,
    ignorePatterns: ["/examples", "dist", ".vitest"],
    // Outside of the tree, or the tests of the sandbox would be found as the tree's own.
    tempDirName: SANDBOX,
    cleanTempDir: "always",
    reporters: ["clear-text", "progress-append-only", "json"],
    jsonReporter: { fileName: `.vitest/mutation-${room}.json` },
    clearTextReporter: { logTests: false, allowColor: false, reportTests: false },
    thresholds: { high: 100, low: 95, break: 95 },
  };
}
