/** A source of grounding: what a text or a list contains, read once for each kind of value that is looked for in it. */
import type { Json, JsonObject } from "@stepgate/core/compiler";
import { daysIn, hasDay, wholeDay } from "./grounding-dates.ts";
import { pathTokensOf, readText, readWords, type Text, tokensOf } from "./grounding-text.ts";
import {
  type FilePath,
  isPath,
  isUrl,
  numberDecimal,
  readHost,
  readPath,
  readUrl,
  tokenDecimal,
  type Url,
} from "./grounding-values.ts";
import { indexRuns } from "./run-index.ts";

/** What can be asked of a source. Each answer costs time in the length of what is asked, not of the source. */
export interface GroundingSource {
  hasDecimal(decimal: string): boolean;
  hasUrl(url: Url): boolean;
  /** The same host, whatever the port; a bare host counts as one of http. */
  hasHost(url: Url): boolean;
  hasDate(day: string): boolean;
  hasPath(path: FilePath): boolean;
  /** The path itself or one above it. */
  hasAbove(path: FilePath): boolean;
  hasText(text: Text): boolean;
}

/**
 * The source at a path of a context: a text for a string, else its scalar leaves, whole, or as texts. A path that leads
 * nowhere, to null or to a boolean, is a source that grounds nothing. Kept with the context as long as that lives.
 */
export function contextSource(
  context: JsonObject,
  names: readonly string[],
  asTexts: boolean,
): GroundingSource {
  let known = sourcesOf.get(context);
  if (known === undefined) sourcesOf.set(context, (known = new Map()));
  const key = `${asTexts ? "texts" : "leaves"} ${names.join(".")}`;
  let source = known.get(key);
  if (source === undefined) known.set(key, (source = readSource(follow(context, names), asTexts)));
  return source;
}

/** Texts, of which each token counts; no run of words and no date reaches from one into the next. */
export function textSource(texts: readonly string[]): GroundingSource {
  const cores = lazy(() => texts.flatMap(tokensOf).map(({ core }) => core));
  const paths = lazy(() => texts.flatMap(pathTokensOf).flatMap(pathOfToken));
  return source({
    decimals: () => cores().map(tokenDecimal),
    urls: () => cores().map(readUrl),
    hosts: () => cores().map((core) => readHost(core, "text")),
    days: () => texts.flatMap((text) => [...daysIn(text)]),
    paths: () => paths().map(({ path }) => path),
    roots: () => paths().flatMap(({ path, written }) => (written ? [path] : [])),
    text: () => {
      // No value has the empty word, so no run goes across it.
      const hasRun = indexRuns(texts.flatMap((text) => [...readWords(text), ""]));
      return ({ words }) => words.length > 0 && hasRun(words);
    },
  });
}

/** Scalars, each of which counts as a whole and without stripping. */
export function leafSource(leaves: readonly (string | number)[]): GroundingSource {
  // An empty string would be the start of all relative paths.
  const strings = leaves.filter((leaf) => typeof leaf === "string").filter((leaf) => leaf !== "");
  const paths = lazy(() => strings.filter((leaf) => !isUrl(leaf)).map(readPath));
  return source({
    decimals: () =>
      leaves.map((leaf) => (typeof leaf === "number" ? numberDecimal(leaf) : tokenDecimal(leaf))),
    urls: () => strings.map(readUrl),
    hosts: () => strings.map((leaf) => readHost(leaf, "list")),
    days: () => strings.map(wholeDay),
    paths,
    roots: paths,
    text: () => {
      // A number stands for its canonical text: that is why a literal must be spelled so.
      const wholes = new Set(leaves.map((leaf) => readText(`${leaf}`)?.whole));
      return ({ whole }) => wholes.has(whole);
    },
  });
}

const sourcesOf = new WeakMap<JsonObject, Map<string, GroundingSource>>();

function follow(context: JsonObject, names: readonly string[]): Json | undefined {
  let value: Json | undefined = context;
  for (const name of names) {
    // A list has members such as `length` that nobody vouched for.
    if (typeof value !== "object" || value === null || Array.isArray(value)) return undefined;
    value = Object.hasOwn(value, name) ? (value as JsonObject)[name] : undefined;
  }
  return value;
}

function readSource(value: Json | undefined, asTexts: boolean): GroundingSource {
  if (typeof value === "string") return textSource([value]);
  const leaves = scalarLeaves(value);
  return asTexts ? textSource(leaves.map(String)) : leafSource(leaves);
}

function scalarLeaves(root: Json | undefined): readonly (string | number)[] {
  const leaves: (string | number)[] = [];
  const stack = [root];
  while (stack.length > 0) {
    const value = stack.pop();
    if (typeof value === "string" || typeof value === "number") leaves.push(value);
    else if (typeof value === "object" && value !== null)
      for (const member of Object.values(value)) stack.push(member);
  }
  return leaves;
}

/** What a source contains; each is read when it is first asked for. */
interface Content {
  decimals(): readonly (string | undefined)[];
  urls(): readonly (Url | undefined)[];
  hosts(): readonly (string | undefined)[];
  days(): readonly (string | undefined)[];
  paths(): readonly (FilePath | undefined)[];
  /** The paths below which everything is allowed with `match: under`. */
  roots(): readonly (FilePath | undefined)[];
  text(): (text: Text) => boolean;
}

function source(content: Content): GroundingSource {
  const decimals = lazy(() => new Set(content.decimals()));
  const addresses = lazy(() => new Set(content.urls().map((url) => url?.address)));
  const hosts = lazy(
    () => new Set([...content.hosts(), ...content.urls().map((url) => url?.host)]),
  );
  const days = lazy(() => new Set(content.days().filter((day) => day !== undefined)));
  const paths = lazy(() => new Set(content.paths().map((path) => path && pathKey(path))));
  const roots = lazy(() => indexRoots(content.roots()));
  const text = lazy(content.text);
  return {
    hasDecimal: (decimal) => decimals().has(decimal),
    hasUrl: (url) => addresses().has(url.address),
    hasHost: (url) => url.host !== undefined && hosts().has(url.host),
    hasDate: (day) => hasDay(days(), day),
    hasPath: (path) => paths().has(pathKey(path)),
    hasAbove: (path) => paths().has(pathKey(path)) || isBelow(path, roots()),
    hasText: (value) => text()(value),
  };
}

/**
 * In a text a URL is no path, though it looks like one, and a lone `/`, as in `yes / no`, is not the root. A word without
 * `/` is a path that can be equal, but none below which things lie (`written`): every word would be one.
 */
function pathOfToken(token: string): readonly { path: FilePath; written: boolean }[] {
  const path = isUrl(token) ? undefined : readPath(token);
  return path === undefined || path.segments.length === 0 ? [] : [{ path, written: isPath(token) }];
}

function pathKey({ absolute, segments }: FilePath): string {
  return `${absolute ? "/" : ""}${segments.join("/")}`;
}

/** Roots as a tree of segments, so that a path of any depth is looked up in one walk. */
interface Folder {
  isRoot: boolean;
  readonly folders: Map<string, Folder>;
}

function indexRoots(roots: readonly (FilePath | undefined)[]): Folder {
  const top = folder();
  for (const root of roots) {
    if (root === undefined) continue;
    let at = top;
    for (const segment of rooted(root)) {
      let next = at.folders.get(segment);
      if (next === undefined) at.folders.set(segment, (next = folder()));
      at = next;
    }
    at.isRoot = true;
  }
  return top;
}

/**
 * Refused below a root: what another reader of paths might take for `/` or `..` or an end, for here the rest of the path
 * is free. An equal path is another matter, since all of it was vouched for.
 */
function isBelow(path: FilePath, top: Folder): boolean {
  let at: Folder | undefined = top;
  const segments = rooted(path);
  for (const [depth, segment] of segments.entries()) {
    at = at.folders.get(segment);
    if (at === undefined) return false;
    if (at.isRoot)
      return !segments.slice(depth + 1).some((rest) => /[\\\p{Cc}]|%(?:2e|2f|5c|00)/iu.test(rest));
  }
  return false;
}

/** The segments under a name for where they start, which no segment has. */
function rooted({ absolute, segments }: FilePath): readonly string[] {
  return [absolute ? "/" : "./", ...segments];
}

function folder(): Folder {
  return { isRoot: false, folders: new Map() };
}

/** Computes at the first call and remembers. */
function lazy<T>(compute: () => T): () => T {
  let known: { readonly value: T } | undefined;
  return () => (known ??= { value: compute() }).value;
}
