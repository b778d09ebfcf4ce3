/** Histories of clients in several processes on one log on PostgreSQL. */
import { testHistories } from "@stepgate/contract";
import { shareServer } from "./shared-server.ts";
import { storeUnderTest } from "./store-under-test.ts";

shareServer();
testHistories(storeUnderTest);
