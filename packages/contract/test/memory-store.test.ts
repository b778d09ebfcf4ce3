/** The memory store under the contract of all stores. */
import { memoryStore } from "@stepgate/core";
import { testStore } from "../src/store-suite.ts";

testStore("memory store", async () => ({ store: memoryStore() }));
