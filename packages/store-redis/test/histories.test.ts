/** Histories of clients in several processes on one log on Redis. */
import { testHistories } from "@stepgate/contract";
import { storeUnderTest } from "./store-under-test.ts";

testHistories(storeUnderTest);
