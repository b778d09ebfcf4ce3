/** 64 submissions against one limit on SQLite: through one gate, several store objects, and four processes on one file. */
import { testLimitRaces } from "@stepgate/contract";
import { storeUnderTest } from "./store-under-test.ts";

testLimitRaces(storeUnderTest, 12);
