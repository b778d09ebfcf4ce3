/** 64 submissions against one limit on PostgreSQL: through one gate, several store objects, and four processes on one log. */
import { testLimitRaces } from "@stepgate/contract";
import { shareServer } from "./shared-server.ts";
import { storeUnderTest } from "./store-under-test.ts";

shareServer();
testLimitRaces(storeUnderTest, 4);
