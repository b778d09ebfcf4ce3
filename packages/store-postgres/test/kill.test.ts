/** `kill -9` of a process that is deciding under load: nothing was done without its receipt, and the next start just works. */
import { testKills } from "@stepgate/contract";
import { shareServer } from "./shared-server.ts";
import { storeUnderTest } from "./store-under-test.ts";

shareServer();
testKills(storeUnderTest);
