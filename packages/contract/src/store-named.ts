/** Finds the kind of store that a command names. This room alone knows where the packages of stores keep it. */
import { existsSync } from "node:fs";
import { loadStoreUnderTest, type StoreUnderTest } from "./store-under-test.ts";

/** The kind of store of the package `store-<name>`. @throws TypeError where there is none, or not on this machine. */
export async function storeNamed(name: string): Promise<StoreUnderTest> {
  const module = new URL(`../../store-${name}/test/store-under-test.ts`, import.meta.url);
  if (!/^[a-z]+$/.test(name) || !existsSync(module))
    throw new TypeError(`there is no store '${name}': say sqlite, postgres or redis`);
  const store = await loadStoreUnderTest(module.href);
  const missing = await store.absent();
  if (missing !== undefined) throw new TypeError(missing);
  return store;
}
