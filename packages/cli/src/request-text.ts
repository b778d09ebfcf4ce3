/** The text of a request, parsed strictly: what is no JSON, or JSON that two parsers read differently, is a denial. */
import { type Deny, GateError } from "@stepgate/core";
import { decodeText, readJson } from "./reading.ts";

/** A value for the gate to read, or the denial in its place and where the text is at fault. */
export type RequestText =
  | { readonly request: unknown }
  | { readonly denial: Deny; readonly fault: string };

/** Far above the caps on arguments, which the gate enforces itself. */
const LIMITS = { bytes: 1024 * 1024, depth: 128 };

/** Reads one request; `line` is where it begins in its file. Never throws. */
export function parseRequest(bytes: Uint8Array, name: string, line: number): RequestText {
  try {
    return { request: readJson(decodeText(bytes, `${name}:${line}:1`), name, line, LIMITS) };
  } catch (error) {
    const fault = GateError.isInstance(error) ? error.message : `${name}:${line}:1: cannot be read`;
    const message = "the request is not strict JSON.";
    return {
      fault,
      denial: {
        decision: "DENY",
        proceed: false,
        deny_code: "INVALID_REQUEST",
        rule: "request",
        message,
      },
    };
  }
}
