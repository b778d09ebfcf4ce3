/** Faults done to gates, networks and a server of Redis: one of each kind. */
import { testFaults } from "@stepgate/contract";
import { storeUnderTest } from "./store-under-test.ts";

testFaults(storeUnderTest);
