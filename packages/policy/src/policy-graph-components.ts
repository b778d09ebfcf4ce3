/** Strongly connected components: nodes of a graph that can reach each other. */

interface Visit {
  readonly node: number;
  readonly targets: readonly number[];
  /** The next target to look at. */
  at: number;
}

/**
 * The number of each node's component, by Tarjan, without recursion. Numbers fall along the edges: a component that others
 * lead to has a lower one.
 */
export function componentsOf(
  count: number,
  targetsOf: (node: number) => readonly number[],
): readonly number[] {
  const components = Array.from({ length: count }, () => -1);
  const found = new Map<number, number>();
  const low = Array.from({ length: count }, () => 0);
  const open: number[] = [];
  const visits: Visit[] = [];
  let closed = 0;
  const enter = (node: number): void => {
    low[node] = found.size;
    found.set(node, found.size);
    open.push(node);
    visits.push({ node, targets: targetsOf(node), at: 0 });
  };
  const lower = (node: number, to: number): void => {
    low[node] = Math.min(low[node] ?? to, to);
  };
  const leave = ({ node }: Visit): void => {
    const parent = visits.at(-1);
    if (parent !== undefined) lower(parent.node, low[node] ?? 0);
    if (low[node] !== found.get(node)) return;
    for (const member of open.splice(open.lastIndexOf(node))) components[member] = closed;
    closed++;
  };
  for (let root = 0; root < count; root++) {
    if (!found.has(root)) enter(root);
    for (let visit = visits.at(-1); visit !== undefined; visit = visits.at(-1)) {
      const target = visit.targets[visit.at++];
      if (target === undefined) leave(visits.pop() ?? visit);
      else if (!found.has(target)) enter(target);
      else if (components[target] === -1) lower(visit.node, found.get(target) ?? 0);
    }
  }
  return components;
}
