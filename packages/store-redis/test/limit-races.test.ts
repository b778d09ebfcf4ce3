/** 64 submissions against one limit on Redis: through one gate, several store objects, and four processes on one log. */
import { testLimitRaces } from "@stepgate/contract";
import { storeUnderTest } from "./store-under-test.ts";

testLimitRaces(storeUnderTest, 10);
