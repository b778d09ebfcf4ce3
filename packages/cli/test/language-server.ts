/** The YAML language server, which editors run, spoken to over its stdio (LSP 3.17). */
import { spawn } from "node:child_process";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { pathToFileURL } from "node:url";
import { onTestFinished } from "vitest";

/** A fault that an editor would underline; lines count from 1. */
interface Diagnostic {
  readonly line: number;
  readonly message: string;
}

/** An editor with one file open at a time. */
export interface Editor {
  /** Shows this text, and resolves with what the server says of it. */
  open(file: string, text: string): Promise<readonly Diagnostic[]>;
  /** What is offered at the end of the text that is open. */
  complete(): Promise<readonly string[]>;
}

/** Starts the server; it ends with the test. */
export async function startEditor(folder: string): Promise<Editor> {
  const { request, notify, next } = connect();
  let opened = { uri: "", text: "" };
  await request("initialize", {
    processId: process.pid,
    rootUri: pathToFileURL(folder).href,
    capabilities: {},
  });
  notify("initialized", {});
  return {
    async open(file, text) {
      opened = { uri: pathToFileURL(join(folder, file)).href, text };
      const said = next("textDocument/publishDiagnostics", ({ uri }) => uri === opened.uri);
      notify("textDocument/didOpen", {
        textDocument: { uri: opened.uri, languageId: "yaml", version: 1, text },
      });
      const { diagnostics } = (await said) as { diagnostics: readonly Published[] };
      return diagnostics.map(({ message, range }) => ({ line: range.start.line + 1, message }));
    },
    async complete() {
      const lines = opened.text.split("\n");
      const position = { line: lines.length - 1, character: lines.at(-1)?.length ?? 0 };
      const { items } = (await request("textDocument/completion", {
        textDocument: { uri: opened.uri },
        position,
      })) as { items: readonly { readonly label: string }[] };
      return items.map(({ label }) => label);
    },
  };
}

interface Published {
  readonly message: string;
  readonly range: { readonly start: { readonly line: number } };
}

type Params = Readonly<Record<string, unknown>>;

/** No schema comes from the network: only that which the file names. */
const SETTINGS = {
  validate: true,
  completion: true,
  schemaStore: { enable: false },
};

function connect() {
  const require = createRequire(import.meta.url);
  const manifest = require.resolve("yaml-language-server/package.json");
  const program = join(dirname(manifest), "bin/yaml-language-server");
  const child = spawn(process.execPath, [program, "--stdio"], {
    stdio: ["pipe", "pipe", "inherit"],
  });
  onTestFinished(() => void child.kill());
  const waiting: { readonly wants: (message: Params) => boolean; take(message: Params): void }[] =
    [];
  let lastId = 0;
  const send = (message: Params): void => {
    const body = JSON.stringify({ jsonrpc: "2.0", ...message });
    child.stdin.write(`Content-Length: ${Buffer.byteLength(body)}\r\n\r\n${body}`);
  };
  const first = (wants: (message: Params) => boolean): Promise<Params> =>
    new Promise((take) => waiting.push({ wants, take }));
  const receive = (message: Params): void => {
    const { id, method } = message;
    // Whatever else it asks for, it gets nothing.
    if (method !== undefined && id !== undefined)
      send({ id, result: method === "workspace/configuration" ? [SETTINGS, {}, {}, {}] : null });
    const index = waiting.findIndex(({ wants }) => wants(message));
    if (index >= 0) waiting.splice(index, 1)[0]?.take(message);
  };
  let bytes = Buffer.alloc(0);
  child.stdout.on("data", (chunk: Buffer) => {
    bytes = Buffer.concat([bytes, chunk]);
    for (let body = takeBody(); body !== undefined; body = takeBody()) receive(JSON.parse(body));
  });
  function takeBody(): string | undefined {
    const end = bytes.indexOf("\r\n\r\n");
    const length = Number(/Content-Length: (\d+)/.exec(String(bytes.subarray(0, end)))?.[1]);
    if (end < 0 || bytes.length < end + 4 + length) return undefined;
    const body = String(bytes.subarray(end + 4, end + 4 + length));
    bytes = bytes.subarray(end + 4 + length);
    return body;
  }
  return {
    notify: (method: string, params: Params) => send({ method, params }),
    next: async (method: string, wants: (params: Params) => boolean): Promise<unknown> =>
      (
        await first((message) => message["method"] === method && wants(message["params"] as Params))
      )["params"],
    request: async (method: string, params: Params): Promise<unknown> => {
      const id = ++lastId;
      const answer = first((message) => message["id"] === id && message["method"] === undefined);
      send({ id, method, params });
      return (await answer)["result"];
    },
  };
}
