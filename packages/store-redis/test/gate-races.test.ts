/** 64 submissions for one thing on Redis: through one gate, several store objects, and four processes on one log. */
import { testGateRaces } from "@stepgate/contract";
import { storeUnderTest } from "./store-under-test.ts";

testGateRaces(storeUnderTest);
