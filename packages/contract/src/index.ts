/** Suites and means of testing that every store and every adapter shares. */
export { openTestGate, type TestGate, type TestGateOptions } from "./test-gate.ts";
