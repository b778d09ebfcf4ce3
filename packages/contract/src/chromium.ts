/** A real Chromium for tests, headless, with a profile of its own, which reaches this machine's loopback and nothing else. */
import { spawnSync } from "node:child_process";
import { createServer } from "node:http";
import { type Browser, chromium } from "playwright-core";

/** The browser's binary: what the environment variable CHROMIUM names, else on PATH; `undefined` where there is none. */
export function chromiumBinary(named: string | undefined): string | undefined {
  const has = (name: string): boolean => spawnSync(name, ["--version"]).error === undefined;
  const binary = (named === undefined ? ["chromium", "chromium-browser"] : [named]).find(has);
  return binary?.includes("/") === false
    ? spawnSync("/bin/sh", ["-c", 'command -v "$0"', binary]).stdout.toString().trim()
    : binary;
}

/** What a test is skipped with where {@link chromiumBinary} finds nothing. */
export const NO_CHROMIUM = "chromium is not on PATH, and CHROMIUM is not set";

/** A host of this machine whose pages have no secure context: they come over HTTP from no name of the loopback. */
export const INSECURE_HOST = "insecure.test";

/** Starts the browser. Closing it ends its processes and removes its profile. */
export async function startChromium(binary: string): Promise<Browser> {
  return chromium.launch({
    executablePath: binary,
    chromiumSandbox: false,
    args: [
      "--disable-gpu",
      "--disable-quic",
      "--no-first-run",
      "--disable-background-networking",
      "--disable-component-update",
      "--disable-sync",
      `--host-resolver-rules=MAP ${INSECURE_HOST} 127.0.0.1, MAP * ~NOTFOUND, EXCLUDE 127.0.0.1`,
    ],
  });
}

/** Files by path on a free port of the loopback interface. */
export interface Pages {
  readonly port: number;
  /** `http://127.0.0.1:<port>` */
  readonly origin: string;
  close(): Promise<void>;
}

/** Serves these files, by their ending as what they are; `/` is an empty page that runs these scripts and, unless it may, no text as code. */
export async function servePages(
  files: Readonly<Record<string, string | Uint8Array>>,
  { mayEvaluate = false }: { readonly mayEvaluate?: boolean } = {},
): Promise<Pages> {
  const policy = `default-src 'self'${mayEvaluate ? "; script-src 'self' 'unsafe-eval'" : ""}`;
  const server = createServer((request, response) => {
    const path = request.url ?? "/";
    const body = path === "/" ? "<!doctype html><title>Stepgate</title>" : files[path];
    const type = TYPES[/\.\w+$/.exec(path)?.[0] ?? ""] ?? "text/html; charset=utf-8";
    const headers = { "content-type": type, "content-security-policy": policy };
    response.writeHead(body === undefined ? 404 : 200, headers).end(body);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const address = server.address();
  if (address === null || typeof address === "string") throw new Error("the server has no port");
  return {
    port: address.port,
    origin: `http://127.0.0.1:${address.port}`,
    async close() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

const TYPES: Readonly<Record<string, string>> = {
  ".js": "text/javascript",
  ".json": "application/json",
  ".jsonl": "application/jsonl",
};
