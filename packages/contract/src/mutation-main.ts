/**
 * Mutation testing of core's rooms by Stryker: `node mutation-main.ts [room…]`, all rooms by default. Fails where fewer than
 * 95 of 100 mutants are killed. What survives stands in packages/core/test/SURVIVORS.md, each with its reason.
 */
import { fileURLToPath } from "node:url";
import { Stryker } from "@stryker-mutator/core";

/** The tests of each room, those that are quick: each mutant runs those of them that reach it. */
const ROOMS: Readonly<Record<string, readonly string[]>> = {
  decide: ["deciding", "constraints", "conditions", "limits", "level-two", "approving", "closing"],
  "canonical-json": ["canonical-json"],
  merkle: ["merkle"],
};

process.chdir(fileURLToPath(new URL("../../..", import.meta.url)));
const asked = process.argv.slice(2);
for (const room of asked.length > 0 ? asked : Object.keys(ROOMS)) {
  const [name = "", lines] = room.split(":");
  await new Stryker(optionsOf(name, lines)).runMutationTest();
}

function optionsOf(
  room: string,
  lines: string | undefined,
): ConstructorParameters<typeof Stryker>[0] {
  const tests = ROOMS[room];
  if (tests === undefined)
    throw new TypeError(`there is no room ${room}; there are ${Object.keys(ROOMS).join(", ")}`);
  const source = `packages/core/src/${room}.ts`;
  return {
    mutate: [lines === undefined ? source : `${source}:${lines}`],
    testFiles: tests.map((test) => `packages/core/test/${test}.test.ts`),
    testRunner: "vitest",
    plugins: [import.meta.resolve("@stryker-mutator/vitest-runner")],
    vitest: { configFile: "packages/contract/src/mutation-vitest.ts", related: false },
    coverageAnalysis: "perTest",
    concurrency: 1,
    ignorePatterns: ["/examples", "dist", ".vitest"],
    tempDirName: ".vitest/mutation",
    reporters: ["clear-text", "progress-append-only", "json"],
    jsonReporter: { fileName: `.vitest/mutation-${room}.json` },
    clearTextReporter: { logTests: false, allowColor: false },
    thresholds: { high: 100, low: 95, break: 95 },
  };
}
