/** Every kind of fault that the harness knows, done to two gates on PostgreSQL and to the server itself. */
import { testFaults } from "@stepgate/contract";
import { shareServer } from "./shared-server.ts";
import { storeUnderTest } from "./store-under-test.ts";

shareServer();
testFaults(storeUnderTest);
