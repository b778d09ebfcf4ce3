/** One comment on a pull request, found again by a marker and brought up to date. */

/** Where the comment goes. */
export interface PullRequest {
  /** Such as `https://api.github.com`. */
  readonly api: string;
  /** `owner/name`. */
  readonly repository: string;
  readonly number: string;
  readonly token: string;
}

/** What became of it; `refused`: the token may not write, as is the rule for forks. */
export type Commented = "created" | "updated" | "not needed" | "refused";

const MARKER = "<!-- stepgate: what a pull request changes for agents -->";
/** GitHub's limit, in characters. */
const MAX_BODY = 65_536;
const PAGE = 100;
const MAX_PAGES = 50;
const DEADLINE_MS = 30_000;

/**
 * Writes the comment, or updates the one that is there. With nothing `worthSaying`, none is begun.
 *
 * @throws Error where GitHub answers otherwise than yes, or that the token may not.
 */
export async function comment(
  target: PullRequest,
  markdown: string,
  worthSaying: boolean,
): Promise<Commented> {
  try {
    const known = await findComment(target);
    const body = { body: fitting(`${MARKER}\n${markdown}`) };
    if (known !== undefined) {
      await call(target, "PATCH", `/issues/comments/${known}`, body);
      return "updated";
    }
    if (!worthSaying) return "not needed";
    await call(target, "POST", `/issues/${target.number}/comments`, body);
    return "created";
  } catch (error) {
    if (error instanceof Refused) return "refused";
    throw error;
  }
}

/** The token may not do this. */
class Refused extends Error {}

async function findComment(target: PullRequest): Promise<number | undefined> {
  const login = await ownLogin(target);
  for (let page = 1; page <= MAX_PAGES; page++) {
    const path = `/issues/${target.number}/comments?per_page=${PAGE}&page=${page}`;
    const found: unknown = await call(target, "GET", path);
    if (!Array.isArray(found)) throw new Error("GitHub's list of comments is no list");
    for (const one of found) {
      const id = isOwn(one, login) ? one.id : undefined;
      if (id !== undefined) return id;
    }
    if (found.length < PAGE) return undefined;
  }
  return undefined;
}

/** A person's token tells whose it is; that of a job or an app does not, and then it is a bot's. */
async function ownLogin({ api, token }: PullRequest): Promise<string | undefined> {
  const response = await send(new URL(`${api}/user`), "GET", token);
  if (!response.ok) return undefined;
  const user: unknown = await response.json();
  return memberOf(user, "login", "string");
}

/** Anybody can write the marker, and who wrote a comment can change it: so only one of our own is taken. */
function isOwn(found: unknown, login: string | undefined): found is { readonly id: number } {
  const user =
    typeof found === "object" && found !== null && "user" in found ? found.user : undefined;
  const isMine =
    login === undefined
      ? memberOf(user, "type", "string") === "Bot"
      : memberOf(user, "login", "string") === login;
  const isMarked = memberOf(found, "body", "string")?.startsWith(MARKER) === true;
  return isMine && isMarked && memberOf(found, "id", "number") !== undefined;
}

function memberOf(value: unknown, name: string, type: "string"): string | undefined;
function memberOf(value: unknown, name: string, type: "number"): number | undefined;
function memberOf(value: unknown, name: string, type: string): unknown {
  if (typeof value !== "object" || value === null) return undefined;
  const member = (value as Readonly<Record<string, unknown>>)[name];
  return typeof member === type ? member : undefined;
}

async function call(
  { api, repository, token }: PullRequest,
  method: string,
  path: string,
  body?: object,
): Promise<unknown> {
  const response = await send(new URL(`${api}/repos/${repository}${path}`), method, token, body);
  if ([401, 403, 404].includes(response.status)) throw new Refused();
  if (!response.ok) throw new Error(`${method} ${path}: GitHub answers ${response.status}`);
  return response.json();
}

function send(url: URL, method: string, token: string, body?: object): Promise<Response> {
  return fetch(url, {
    method,
    headers: {
      accept: "application/vnd.github+json",
      authorization: `Bearer ${token}`,
      "content-type": "application/json",
      "user-agent": "stepgate",
      "x-github-api-version": "2022-11-28",
    },
    signal: AbortSignal.timeout(DEADLINE_MS),
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  });
}

function fitting(text: string): string {
  const note = "\n\n… cut here; the job's summary has more.\n";
  return text.length <= MAX_BODY ? text : text.slice(0, MAX_BODY - note.length) + note;
}
