/** Another spelling of a policy: short forms and long ones, lists that are sets in any order, members in any order. */

/** Numbers from 0 up to, and not including, `below`. */
export type Draw = (below: number) => number;

type Members = Readonly<Record<string, unknown>>;

/** Writes the same contract in another way. Every choice is drawn. */
export function respelled(document: Members, draw: Draw): Members {
  return members(document, draw, {
    functions: each((entry, name) => aFunction(entry, name, draw), draw),
    tools: each((entry) => aTool(entry as Members, draw), draw),
    constraints: (list) => (list as Members[]).map((item) => aConstraint(item, draw)),
    forbid: (list) => (list as Members[]).map((item) => members(item, draw, all(item, draw))),
    agents: each((entry) => anAgent(entry as Members, draw), draw),
    sealOn: (list) => aSet(list, draw),
    freshness: (value) => aDuration(value, draw),
    lifetime: (value) => aDuration(value, draw),
  });
}

type Change = (value: unknown) => unknown;

/** The members in another order, each changed. */
function members(object: Members, draw: Draw, changes: Readonly<Record<string, Change>>): Members {
  const entries = Object.entries(object).map(
    ([name, value]) => [name, (changes[name] ?? ((same) => same))(value)] as const,
  );
  return Object.fromEntries(shuffled(entries, draw));
}

function each(change: (entry: unknown, name: string) => unknown, draw: Draw): Change {
  return (object) =>
    Object.fromEntries(
      shuffled(Object.entries(object as Members), draw).map(([name, entry]) => [
        name,
        change(entry, name),
      ]),
    );
}

function all(item: Members, draw: Draw): Readonly<Record<string, Change>> {
  return Object.fromEntries(Object.keys(item).map((name) => [name, (list) => aSet(list, draw)]));
}

function aFunction(entry: unknown, name: string, draw: Draw): unknown {
  const { actions, ...rest } = Array.isArray(entry) ? { actions: entry } : (entry as Members);
  const list = aSet(actions, draw);
  if (Object.keys(rest).length === 0 && draw(2) === 0) return list;
  const step = draw(2) === 0 ? { step: name } : {};
  return { ...step, ...conditions({ ...rest }, draw), actions: list };
}

function aTool(entry: Members, draw: Draw): Members {
  const { function: names } = entry;
  const list = draw(2) === 0 ? [names].flat() : names;
  return { ...conditions(entry, draw), function: list };
}

function conditions(entry: Members, draw: Draw): Members {
  const empty = draw(2) === 0 ? { grounded: {}, ungrounded: [], bind: {}, limits: {} } : {};
  return {
    ...empty,
    ...members(entry, draw, {
      when: (text) => ` ${String(text)}${"\n".repeat(draw(3))}`,
      ungrounded: (list) => aSet(list, draw),
      grounded: each((sources) => aSource(sources, draw), draw),
      limits: (limits) =>
        members(limits as Members, draw, {
          calls: (limit) => aLimit(limit, draw),
          sum: (limit) => aLimit(limit, draw),
        }),
      approval: (approval) => ({
        ...(draw(2) === 0 && { count: 1 }),
        ...members(approval as Members, draw, { by: (list) => aSet(list, draw) }),
      }),
    }),
  };
}

function aSource(sources: unknown, draw: Draw): unknown {
  if (typeof sources === "object" && sources !== null && "from" in sources) return sources;
  const list = [sources].flat();
  const [first] = list;
  const short = list.length === 1 && typeof first === "string" && draw(2) === 0 ? first : list;
  return draw(2) === 0 ? { from: short } : short;
}

function aLimit(limit: unknown, draw: Draw): unknown {
  if (typeof limit === "number") return draw(2) === 0 ? limit : { max: limit };
  return members(limit as Members, draw, { window: (value) => aDuration(value, draw) });
}

function aConstraint(item: Members, draw: Draw): Members {
  const selectors = (list: unknown): unknown =>
    (list as unknown[]).map((selector) =>
      typeof selector === "string" && draw(2) === 0 ? { function: selector } : selector,
    );
  return members(item, draw, { precedence: selectors, never: selectors });
}

function anAgent(entry: Members, draw: Draw): Members {
  if (entry["functions"] === undefined) return draw(2) === 0 ? { functions: {} } : entry;
  return members(entry, draw, {
    functions: each((list) => {
      const set = aSet(list, draw);
      return draw(2) === 0 ? set : { actions: set };
    }, draw),
  });
}

/** Milliseconds in one of the units that they can be written in. */
function aDuration(value: unknown, draw: Draw): unknown {
  const ms = Number(value);
  const units = [
    [1, "ms"],
    [1000, "s"],
    [60_000, "m"],
    [3_600_000, "h"],
  ] as const;
  const spellings = units.filter(([unit]) => ms % unit === 0).map(([n, u]) => `${ms / n}${u}`);
  return [ms, ...spellings][draw(spellings.length + 1)];
}

function aSet(list: unknown, draw: Draw): unknown[] {
  const items = list as unknown[];
  const again = items.filter(() => draw(3) === 0);
  return shuffled([...items, ...again], draw);
}

function shuffled<T>(items: readonly T[], draw: Draw): T[] {
  return items
    .map((item) => ({ item, key: draw(1_000_000) }))
    .toSorted((a, b) => a.key - b.key)
    .map(({ item }) => item);
}
