/** Ties every comment of a text to what it stands at, so that it goes where that goes. */
import type { Path } from "./finding.ts";
import { inPageOrder } from "./layout-order.ts";
import type { Collection, Comment, Entry, LayoutValue } from "./layout-tree.ts";

/** Where the comments go; each is in exactly one list. */
export interface TiedComments {
  /** At the top, apart from what follows. */
  readonly header: readonly Comment[];
  /** On lines of their own before an entry. */
  before(entry: Entry): readonly Comment[];
  /** Before what an item begins with; a dash has no line of its own, so that they come before the item. */
  hoisted(item: Entry): readonly Comment[];
  /** On the lines of an entry, each at its end. */
  beside(entry: Entry): readonly Comment[];
  /** Behind the last entry of a collection. */
  tail(collection: Collection): readonly Comment[];
}

/** Ties comments, which are in order, to the entries of a policy, which is a map. */
export function tieComments(root: Collection, comments: readonly Comment[]): TiedComments {
  const before = new Map<Entry, Comment[]>();
  const beside = new Map<Entry, Comment[]>();
  const tail = new Map<Collection, Comment[]>();
  const sites = [...sitesIn(root)];
  for (const comment of comments) {
    const tie = tieOf(comment, sites, root);
    if (tie.where === "tail") push(tail, tie.collection, comment);
    else push(tie.where === "before" ? before : beside, tie.entry, comment);
  }
  const [first] = root.entries;
  const [header, rest] = splitHeader(first, (first && before.get(first)) ?? []);
  if (first !== undefined) before.set(first, rest);
  const hoisted = new Map<Entry, Comment[]>();
  hoist(root, [], { before, beside, hoisted });
  return {
    header,
    hoisted: (item) => hoisted.get(item) ?? [],
    before: (entry) => before.get(entry) ?? [],
    beside: (entry) => beside.get(entry) ?? [],
    tail: (collection) => tail.get(collection) ?? [],
  };
}

/** An entry with the way up from it. */
interface Site {
  readonly entry: Entry;
  readonly within: Collection;
  readonly owner: Site | undefined;
  /** Its next neighbour in the collection. */
  readonly next: Entry | undefined;
}

type Tie =
  | { readonly where: "before" | "beside"; readonly entry: Entry }
  | { readonly where: "tail"; readonly collection: Collection };

/** In the order of the text, each before what it holds. */
function* sitesIn(within: Collection, owner?: Site): Generator<Site> {
  for (const [index, entry] of within.entries.entries()) {
    const site = { entry, within, owner, next: within.entries[index + 1] };
    yield site;
    if (entry.value.kind !== "scalar") yield* sitesIn(entry.value, site);
  }
}

function tieOf(comment: Comment, sites: readonly Site[], root: Collection): Tie {
  const index = lastAtOrBefore(sites, comment.offset);
  const last = sites[index];
  const following = sites[index + 1];
  if (last === undefined) return beforeFirst(following?.entry, root);
  const flow = flowAround(last, comment.offset);
  if (!comment.alone) {
    const site = flow === undefined ? outOfFlow(last) : last;
    if (site !== undefined) return { where: "beside", entry: site.entry };
    return { where: "tail", collection: root };
  }
  if (comment.offset < last.entry.end && !isOpened(last.entry.value, comment.offset))
    return { where: "before", entry: last.entry };
  if (flow !== undefined) return inFlow(comment, flow, last);
  const block = outOfFlow(last);
  return block === undefined
    ? { where: "tail", collection: root }
    : inBlock(comment, block, following);
}

function beforeFirst(entry: Entry | undefined, root: Collection): Tie {
  return entry === undefined ? { where: "tail", collection: root } : { where: "before", entry };
}

/** True where the comment stands among the entries of the value, not before them. */
function isOpened(value: LayoutValue, offset: number): boolean {
  return value.kind !== "scalar" && (!value.flow || offset > value.start);
}

/** The innermost brackets that the offset stands in; `last` is the last entry that begins before it. */
function flowAround(last: Site, offset: number): Collection | undefined {
  const { value } = last.entry;
  if (value.kind !== "scalar" && value.flow && value.start < offset && offset < value.end)
    return value;
  for (let site: Site | undefined = last; site !== undefined; site = site.owner)
    if (site.within.flow && offset < site.within.end) return site.within;
  return undefined;
}

/** The entry that holds the outermost brackets around a site; none where the whole policy is in brackets. */
function outOfFlow(site: Site): Site | undefined {
  let out: Site | undefined = site;
  while (out?.within.flow === true) out = out.owner;
  return out;
}

function inFlow(comment: Comment, flow: Collection, last: Site): Tie {
  const next = flow.entries.find(({ start }) => start > comment.offset);
  if (next !== undefined) return { where: "before", entry: next };
  // Empty brackets have no line to put it on but that of their owner.
  return flow.entries.length > 0
    ? { where: "tail", collection: flow }
    : { where: "before", entry: last.entry };
}

function inBlock(comment: Comment, last: Site, following: Site | undefined): Tie {
  const { value } = last.entry;
  const isEmpty = value.kind === "scalar" && value.source === "" && value.value === null;
  if (isEmpty && comment.column > last.entry.column) return { where: "before", entry: last.entry };
  if (
    following !== undefined &&
    (comment.column <= following.entry.column || following.owner === last)
  )
    return { where: "before", entry: following.entry };
  let site = last;
  while (site.owner !== undefined && site.entry.column > comment.column) site = site.owner;
  return site.next === undefined
    ? { where: "tail", collection: site.within }
    : { where: "before", entry: site.next };
}

function lastAtOrBefore(sites: readonly Site[], offset: number): number {
  let low = 0;
  let high = sites.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if ((sites[middle]?.entry.start ?? 0) <= offset) low = middle + 1;
    else high = middle;
  }
  return low - 1;
}

/** What a blank line parts from the first entry speaks of the whole file, and so does a line for editors. */
function splitHeader(
  first: Entry | undefined,
  comments: readonly Comment[],
): readonly [Comment[], Comment[]] {
  const parted = first?.blank === true ? comments.length : comments.findLastIndex(isParted);
  const modeline = comments.findLastIndex(({ text }) => /^#\s*yaml-language-server:/.test(text));
  const at = Math.max(0, parted, modeline + 1);
  return [comments.slice(0, at), comments.slice(at)];
}

function isParted({ blank }: Comment): boolean {
  return blank;
}

interface Ties {
  readonly before: Map<Entry, Comment[]>;
  readonly beside: Map<Entry, Comment[]>;
  readonly hoisted: Map<Entry, Comment[]>;
}

/** From the innermost out, by the order of the layout: what comes before an item is not in it, or it would keep it from one line. */
function hoist({ entries }: Collection, path: Path, ties: Ties): void {
  for (const [index, entry] of inPageOrder(entries, path).entries()) {
    if (entry.value.kind === "scalar") continue;
    const here = [...path, entry.key ?? index];
    hoist(entry.value, here, ties);
    const [first, second] = inPageOrder(entry.value.entries, here);
    if (entry.key !== undefined || first === undefined) continue;
    ties.hoisted.set(entry, [...take(ties.before, first), ...take(ties.hoisted, first)]);
    // `- never: […] # this`, on the one line that such an item has.
    if (first.key !== undefined && second === undefined)
      ties.beside.set(first, [...take(ties.beside, entry), ...take(ties.beside, first)]);
  }
}

function take(lists: Map<Entry, Comment[]>, entry: Entry): Comment[] {
  const list = lists.get(entry) ?? [];
  lists.delete(entry);
  return list;
}

function push<K>(lists: Map<K, Comment[]>, key: K, comment: Comment): void {
  const list = lists.get(key);
  if (list === undefined) lists.set(key, [comment]);
  else list.push(comment);
}
