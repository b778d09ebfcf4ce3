/** How often each step of an order comes in a run that is completed, exactly. */
import { type Order, stepFrom } from "./analysis-order.ts";
import { componentsOf } from "./policy-graph-components.ts";

/** Transitions times steps that are looked at; beyond it, nothing is said. */
const MAX_WORK = 20_000_000;

/** By step: `1×`, `0–3×`, `2+×`; empty where the order is too large. */
export function occurrences(order: Order): readonly string[] {
  const states = order.accepting.length;
  const steps = Array.from({ length: order.stepCount }, (_, step) => step);
  if (states * order.stepCount * order.stepCount > MAX_WORK) return steps.map(() => "");
  const components = componentsOf(states, (state) =>
    steps.map((step) => stepFrom(order, state, step)).filter((target) => target >= 0),
  );
  return steps.map((step) => {
    const [least, most] = [leastOf(order, step), mostOf(order, components, step)];
    if (most === Number.POSITIVE_INFINITY) return `${least}+×`;
    return least === most ? `${least}×` : `${least}–${most}×`;
  });
}

/** The smallest number of times on the way to an accepting state: nearest first, by that number. */
function leastOf(order: Order, step: number): number {
  let layer = [0];
  const met = new Set(layer);
  for (let count = 0; layer.length > 0; count++) {
    const next: number[] = [];
    for (const state of layer) {
      if (order.accepting[state] === 1) return count;
      for (let one = 0; one < order.stepCount; one++) {
        const target = stepFrom(order, state, one);
        if (target < 0 || met.has(target)) continue;
        if (one === step) next.push(target);
        else {
          met.add(target);
          layer.push(target);
        }
      }
    }
    layer = [...new Set(next)].filter((state) => !met.has(state));
    for (const state of layer) met.add(state);
  }
  return 0;
}

/** The largest number; every state can still come to an accepting one, so any way counts. */
function mostOf(order: Order, components: readonly number[], step: number): number {
  // Components are numbered from the last to the first.
  const best = new Map<number, number>([[components[0] ?? 0, 0]]);
  const byComponent = Map.groupBy(components.keys(), (state) => components[state] ?? 0);
  for (const component of [...byComponent.keys()].toSorted((a, b) => b - a)) {
    const soFar = best.get(component) ?? 0;
    for (const state of byComponent.get(component) ?? [])
      for (let one = 0; one < order.stepCount; one++) {
        const target = stepFrom(order, state, one);
        if (target < 0) continue;
        const after = components[target] ?? 0;
        if (after === component && one === step) return Number.POSITIVE_INFINITY;
        if (after === component) continue;
        best.set(after, Math.max(best.get(after) ?? 0, soFar + (one === step ? 1 : 0)));
      }
  }
  return Math.max(...best.values());
}
