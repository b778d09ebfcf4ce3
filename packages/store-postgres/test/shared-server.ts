/** One server for all logs of a test file. */
import { afterAll, beforeAll } from "vitest";
import { holdServer, storeUnderTest } from "./store-under-test.ts";

/** Registers its start and its end; where there is no server, the tests are skipped by themselves. */
export function shareServer(): void {
  let release: (() => Promise<void>) | undefined;
  beforeAll(async () => {
    if ((await storeUnderTest.absent()) === undefined) release = await holdServer();
  });
  afterAll(() => release?.());
}
