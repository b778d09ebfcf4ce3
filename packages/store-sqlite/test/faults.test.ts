/** Faults done to gates on one SQLite file; and a store that says `won` too early, which a kill finds out. */
import { testFaults, testHastyStore } from "@stepgate/contract";
import { storeUnderTest as hasty } from "./hasty-store.ts";
import { storeUnderTest } from "./store-under-test.ts";

testFaults(storeUnderTest);
testHastyStore(hasty);
