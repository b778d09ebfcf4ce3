/** The public surface of `@stepgate/express`: the gate before an Express 5 route. */
export { gateErrorHandler } from "./denial.ts";
export { type Grant, guard, type Guard } from "./guard.ts";
export type { Awaitable, GuardOptions } from "./guard-options.ts";
