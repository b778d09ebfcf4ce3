/** What a process did to its files, as the layer of shim.c wrote it down. */
import { readFileSync } from "node:fs";

/** One thing that came back; the file "" is the folder itself. */
export type FileEvent =
  | { readonly call: "make" | "remove" | "sync" | "lose"; readonly file: string }
  | { readonly call: "cut"; readonly file: string; readonly offset: number }
  | {
      readonly call: "write";
      readonly file: string;
      readonly offset: number;
      readonly bytes: Buffer;
    };

/** In the order in which they came back; one that the end of the process cut off is left out. */
export function readTrace(path: string): readonly FileEvent[] {
  const trace = readFileSync(path);
  const events: FileEvent[] = [];
  for (let at = 0; at < trace.length;) {
    const end = trace.indexOf(10, at);
    if (end === -1) break;
    const { call, file, offset, size } = JSON.parse(trace.toString("latin1", at, end));
    at = end + 1;
    if (call === "write") {
      if (at + size > trace.length) break;
      events.push({ call, file, offset, bytes: trace.subarray(at, at + size) });
      at += size + 1;
    } else {
      events.push({ call, file, offset });
    }
  }
  return events;
}
