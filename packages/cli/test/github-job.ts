/** A job on GitHub, here: the action's own step in bash, a real repository, a server on this machine in the API's place. */
import { cpSync, existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer, type IncomingMessage } from "node:http";
import type { AddressInfo } from "node:net";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { onTestFinished } from "vitest";
import { parse } from "yaml";
import { type Finished, REFUNDS, run, temporaryFolder } from "./binary.ts";

const ROOT = fileURLToPath(new URL("../../..", import.meta.url));
/** The text of action.yml. */
export const ACTION = readFileSync(join(ROOT, "action.yml"), "utf8");
/** How the comment begins. */
export const MARKER = "<!-- stepgate: what a pull request changes for agents -->";

interface Action {
  readonly inputs: Readonly<Record<string, { readonly default: string }>>;
  readonly runs: {
    readonly steps: readonly {
      readonly id?: string;
      readonly run?: string;
      readonly env?: Readonly<Record<string, string>>;
    }[];
  };
}
/** What it says. */
export const action: Action = parse(ACTION);
/** Git with an author, in whatever language and configuration this machine has. */
const GIT_ENV = {
  GIT_CONFIG_GLOBAL: "/dev/null",
  GIT_CONFIG_NOSYSTEM: "1",
  GIT_AUTHOR_NAME: "a",
  GIT_AUTHOR_EMAIL: "a@b.example",
  GIT_COMMITTER_NAME: "a",
  GIT_COMMITTER_EMAIL: "a@b.example",
  LC_ALL: "C",
};

/** Git in a folder. */
export async function git(cwd: string, ...args: readonly string[]): Promise<string> {
  const { code, stdout, stderr } = await run("git", args, cwd, { env: GIT_ENV });
  if (code !== 0) throw new Error(`git ${args.join(" ")}: ${stderr}`);
  return stdout.trim();
}

function write(cwd: string, files: Readonly<Record<string, string | undefined>>): void {
  for (const [name, content] of Object.entries(files)) {
    mkdirSync(dirname(join(cwd, name)), { recursive: true });
    if (content === undefined) rmSync(join(cwd, name));
    else writeFileSync(join(cwd, name), content);
  }
}

/** Commits files; those without content go. */
export async function commit(cwd: string, files: Readonly<Record<string, string | undefined>>) {
  write(cwd, files);
  await git(cwd, "add", "--all");
  await git(cwd, "commit", "--quiet", "--message", "x");
}

/** A repository with these files on `main`, and the working tree on a branch with those changed. */
export async function repository(
  before: Readonly<Record<string, string>>,
  after: Readonly<Record<string, string | undefined>>,
): Promise<string> {
  const cwd = temporaryFolder();
  await git(cwd, "init", "--quiet", "--initial-branch=main");
  await commit(cwd, { "README.md": "x\n", ...before });
  await git(cwd, "switch", "--quiet", "--create", "change");
  await commit(cwd, { "README.md": "y\n", ...after });
  return cwd;
}

/** A comment on pull request 7. */
export interface Comment {
  readonly id: number;
  body: string;
  readonly user: { readonly login: string; readonly type: string };
}

/** What of GitHub's API the action uses, with the token `writer` for a bot that may write; any other token may read. */
export async function gitHub(comments: Comment[] = []) {
  const asked: string[] = [];
  const server = createServer(async (request, response) => {
    asked.push(`${request.method} ${request.url}`);
    const text = await bodyOf(request);
    const { pathname, searchParams } = new URL(request.url ?? "", "http://localhost");
    const answer = (status: number, value: unknown): void =>
      void response
        .writeHead(status, { "content-type": "application/json" })
        .end(JSON.stringify(value));
    const mayWrite = request.headers.authorization === "Bearer writer";
    if (pathname === "/user") return answer(403, { message: "not for this token" });
    if (request.method === "GET" && pathname === "/repos/o/r/issues/7/comments") {
      const page = Number(searchParams.get("page"));
      return answer(200, comments.slice((page - 1) * 100, page * 100));
    }
    if (!mayWrite) return answer(403, { message: "Resource not accessible by integration" });
    const { body } = JSON.parse(text) as { readonly body: string };
    const id = Number(pathname.replace("/repos/o/r/issues/comments/", ""));
    const known = comments.find((one) => one.id === id);
    if (request.method === "PATCH" && known !== undefined) known.body = body;
    else if (request.method === "POST" && pathname === "/repos/o/r/issues/7/comments")
      comments.push({
        id: comments.length + 1,
        body,
        user: { login: "github-actions[bot]", type: "Bot" },
      });
    else return answer(500, {});
    return answer(200, {});
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  onTestFinished(() => void server.close());
  const { port } = server.address() as AddressInfo;
  return { url: `http://127.0.0.1:${port}`, comments, asked };
}

async function bodyOf(request: IncomingMessage): Promise<string> {
  let text = "";
  for await (const chunk of request) text += String(chunk);
  return text;
}

interface Job {
  /** Where the action was checked out; this checkout unless given. */
  readonly actionPath?: string;
  readonly inputs?: Readonly<Record<string, string>>;
  readonly api?: string;
  readonly token?: string;
}

/** Runs the step of action.yml as GitHub does: its expressions evaluated into the environment, its script in bash. */
export async function act(
  cwd: string,
  { inputs = {}, api = "http://127.0.0.1:1", token = "writer", actionPath = ROOT }: Job = {},
) {
  const temp = temporaryFolder();
  const values: Readonly<Record<string, string>> = {
    ...Object.fromEntries(
      Object.entries(action.inputs).map(([name, { default: value }]) => [`inputs.${name}`, value]),
    ),
    ...Object.fromEntries(Object.entries(inputs).map(([name, value]) => [`inputs.${name}`, value])),
    "inputs.token": token,
    "inputs.base || github.event.pull_request.base.sha":
      inputs["base"] ?? (await git(cwd, "rev-parse", "main")),
    "github.event.pull_request.number": "7",
    "runner.temp": temp,
  };
  const env = Object.fromEntries(
    Object.entries(action.runs.steps.find(({ id }) => id === "review")?.env ?? {}).map(
      ([name, text]) => [
        name,
        text.replace(/\$\{\{ (.*?) \}\}/g, (_, expression: string) => values[expression] ?? "?"),
      ],
    ),
  );
  const finished = await runStep("review", cwd, actionPath, {
    GITHUB_API_URL: api,
    GITHUB_REPOSITORY: "o/r",
    GITHUB_STEP_SUMMARY: join(temp, "summary.md"),
    GITHUB_OUTPUT: join(temp, "output"),
    ...env,
  });
  const read = (name: string): string => {
    try {
      return readFileSync(join(temp, name), "utf8");
    } catch {
      return "";
    }
  };
  return {
    ...finished,
    summary: read("summary.md"),
    junit: read("stepgate-junit.xml"),
    junitFile: read("output").trim().replace("junit=", ""),
  };
}

function runStep(
  name: string,
  cwd: string,
  actionPath: string,
  env: Readonly<Record<string, string>>,
): Promise<Finished> {
  const script = action.runs.steps.find(({ id }) => id === name)?.run ?? "exit 99";
  return run("bash", ["--noprofile", "--norc", "-eo", "pipefail", "-c", script], cwd, {
    env: {
      ...GIT_ENV,
      PATH: `${dirname(process.execPath)}:${process.env["PATH"]}`,
      GITHUB_ACTION_PATH: actionPath,
      ...env,
    },
  });
}

/** The action's own checkout as a runner has it, with nothing installed, and then its step that installs. */
export async function installed(): Promise<Finished & { readonly actionPath: string }> {
  const actionPath = temporaryFolder();
  const files = await git(ROOT, "ls-files", "-z", "--cached", "--others", "--exclude-standard");
  for (const file of files.split("\0"))
    if (file !== "" && existsSync(join(ROOT, file)))
      cpSync(join(ROOT, file), join(actionPath, file));
  const { HOME = "/" } = process.env;
  // By what an earlier `pnpm install` left on this machine: a registry may take its time.
  const env = { HOME, npm_config_offline: "true", pnpm_config_offline: "true" };
  return { actionPath, ...(await runStep("install", actionPath, actionPath, env)) };
}

/** With a test that passes. */
export const TESTED = `${REFUNDS}tests:
  - { name: a look-up comes first, calls: [{ tool: refund, expect: SEQUENCE_VIOLATION }] }
`;
/** A refund without a look-up is newly allowed. */
export const WIDER = REFUNDS.replace("lookup, refund", "lookup?, refund");
/** A report is newly denied. */
export const NARROWER = REFUNDS.replace('  report: { step: "*", actions: [EMIT_EVENT] }\n', "");
