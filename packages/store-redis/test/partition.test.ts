/** Two gates in two network namespaces with one Redis: a partition between one of them and the server, with traffic on both. */
import { testPartition } from "@stepgate/contract";
import { storeUnderTest } from "./store-under-test.ts";

testPartition(storeUnderTest);
