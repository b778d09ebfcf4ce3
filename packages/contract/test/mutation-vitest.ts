/** How vitest runs under Stryker: packages are found in the sandbox that it is in, where the mutants are. */
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { defineConfig, type ViteUserConfig } from "vitest/config";

// Stryker's sandbox stands beside the list of the tests that are to run.
const include: string[] = JSON.parse(
  readFileSync(new URL("../../../../tests.json", import.meta.url), "utf8"),
);
const packages = fileURLToPath(new URL("../..", import.meta.url));

const config: ViteUserConfig = defineConfig({
  // By its link in node_modules a package would be the original one, without a mutant.
  resolve: {
    alias: [{ find: /^@stepgate\/([a-z]+)$/, replacement: `${packages}$1/src/index.ts` }],
  },
  test: {
    include,
    setupFiles: [fileURLToPath(new URL("mutation-setup.ts", import.meta.url))],
    testTimeout: 60_000,
    hookTimeout: 60_000,
  },
});

// oxlint-disable-next-line import/no-default-export -- vitest reads its configuration from there
export default config;
