/** 64 submissions for one thing on PostgreSQL: through one gate, several store objects, and four processes on one log. */
import { testGateRaces } from "@stepgate/contract";
import { shareServer } from "./shared-server.ts";
import { storeUnderTest } from "./store-under-test.ts";

shareServer();
// Each submission is a commit of its own here, for they are of one sequence. `pnpm endurance race --store postgres` runs more.
testGateRaces(storeUnderTest, { inProcess: 10, betweenProcesses: 20 });
