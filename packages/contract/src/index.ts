/** Suites and means of testing that every store and every adapter shares. */
export { checkThenInsertStore } from "./check-then-insert-store.ts";
export { testFaults, testHastyStore, testPartition } from "./fault-suite.ts";
export {
  type GateRace,
  openRacingGates,
  RACE_DEADLINE_MS,
  RACE_POLICY,
  type RaceAnswer,
  type RaceKind,
  raceGates,
  type RacingGates,
  submitTo,
} from "./gate-races.ts";
export { freePort } from "./free-port.ts";
export { testHistories } from "./history-suite.ts";
export {
  LIMIT_KINDS,
  LIMIT_POLICY,
  type LimitKind,
  type LimitRace,
  raceLimits,
  watchCounters,
  type WatchedStore,
} from "./limit-races.ts";
export { NO_REDIS, redisBinary, type RedisServer, startRedisServer } from "./redis-server.ts";
export {
  findPostgres,
  NO_POSTGRES,
  type PostgresServer,
  type PostgresSettings,
  startPostgres,
  startStandby,
  whoRuns,
} from "./postgres-server.ts";
export { AT_MS, counting, sampleRecord } from "./sample-record.ts";
export {
  logTest,
  type RaceRounds,
  testGateRaces,
  testKills,
  testLimitRaces,
} from "./race-suite.ts";
export { raceForOneLimit, raceForOneNonce, raceForOnePlace } from "./store-races.ts";
export {
  type LogPlace,
  type LogUnderTest,
  type OpenOptions,
  type ServerUnderTest,
  type StoreUnderTest,
} from "./store-under-test.ts";
export { type StoreFixture, testStore } from "./store-suite.ts";
export {
  failAppends,
  openTestGate,
  sequenceLines,
  type TestGate,
  type TestGateOptions,
} from "./test-gate.ts";
export { approversOf, type Person, person } from "./test-people.ts";
