/** 64 submissions for one thing on SQLite: through one gate, several store objects, and four processes on one file. */
import { testGateRaces } from "@stepgate/contract";
import { storeUnderTest } from "./store-under-test.ts";

testGateRaces(storeUnderTest);
