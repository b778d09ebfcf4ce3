/** Whose turn it is, and which states are at hand: never two holders, never a state that was given up. */
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { type Chains, createChains } from "../src/chains.ts";

/** Resolves once it is this one's turn. */
async function turn<S>(chains: Chains<S>, id: string, ticket: object): Promise<void> {
  await chains.enter(chains.of(id), ticket);
}

describe("turns", () => {
  test("come at once where the chain is free, else in the order of entering", async () => {
    const chains = createChains<string>(10);
    const [a, b, c] = [{}, {}, {}];
    const order: string[] = [];
    const chain = chains.of("s");
    expect(chains.enter(chain, a)).toBeUndefined();
    const second = turn(chains, "s", b).then(() => order.push("b"));
    const third = turn(chains, "s", c).then(() => order.push("c"));
    expect(chains.enter(chains.of("other"), {})).toBeUndefined();
    await Promise.resolve();
    expect(order).toEqual([]);
    chains.leave(chain, a, false);
    await second;
    expect(order).toEqual(["b"]);
    chains.leave(chain, b, false);
    await third;
    expect(order).toEqual(["b", "c"]);
  });

  test("who gives up waiting is passed over; who leaves twice takes nobody's turn away", async () => {
    const chains = createChains<string>(10);
    const [a, b, c, d] = [{}, {}, {}, {}];
    const chain = chains.of("s");
    void chains.enter(chain, a);
    const [, third, fourth] = [b, c, d].map((ticket) => turn(chains, "s", ticket));
    chains.leave(chain, b, true);
    chains.leave(chain, a, false);
    await third;
    let came = false;
    void fourth?.then(() => (came = true));
    chains.leave(chain, a, false);
    chains.leave(chain, b, true);
    await Promise.resolve();
    expect(came).toBe(false);
    chains.leave(chain, c, false);
    await fourth;
  });

  test("whatever comes in whatever order, a chain has one holder, and all have their turn", async () => {
    const step = fc.record({ id: fc.constantFrom("a", "b", "c"), abandoned: fc.boolean() });
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 30 }), fc.nat(3), async (steps, capacity) => {
        const chains = createChains<number>(capacity);
        const holding = new Map<string, number>();
        let served = 0;
        const jobs = steps.map(async ({ id, abandoned }) => {
          const ticket = {};
          const chain = chains.of(id);
          await chains.enter(chain, ticket);
          holding.set(id, (holding.get(id) ?? 0) + 1);
          expect(holding.get(id)).toBe(1);
          await Promise.resolve();
          chains.keep(chain, served, 1);
          holding.set(id, 0);
          served++;
          chains.leave(chain, ticket, abandoned);
        });
        await Promise.all(jobs);
        expect(served).toBe(steps.length);
      }),
    );
  });
});

describe("states at hand", () => {
  /** Keeps a state of this weight in a turn of its own. */
  function keep(chains: Chains<string>, id: string, weight: number): void {
    const [chain, ticket] = [chains.of(id), {}];
    void chains.enter(chain, ticket);
    chains.keep(chain, id, weight);
    chains.leave(chain, ticket, false);
  }
  function stateOf(chains: Chains<string>, id: string): unknown {
    const [chain, ticket] = [chains.of(id), {}];
    void chains.enter(chain, ticket);
    const { state } = chain;
    chains.leave(chain, ticket, false);
    return state;
  }

  test("stay within the number of records that they are folds of; one alone may be of any number", () => {
    const chains = createChains<string>(10);
    for (let i = 0; i < 100; i++) keep(chains, `s${i}`, 2);
    const held = Array.from({ length: 100 }, (_, i) => stateOf(chains, `s${i}`));
    expect(held.filter((state) => state !== undefined)).toHaveLength(5);
    keep(chains, "long", 1_000);
    expect(stateOf(chains, "long")).toBe("long");
  });

  test("that are used stay before those that are not", () => {
    const chains = createChains<string>(10);
    for (let i = 0; i < 100; i++) {
      keep(chains, "used", 2);
      keep(chains, `s${i}`, 2);
      expect(stateOf(chains, "used")).toBe("used");
    }
  });

  test("of a chain that has a holder stay, however full it is", () => {
    const chains = createChains<string>(1);
    const chain = chains.of("held");
    void chains.enter(chain, {});
    chains.keep(chain, "mine", 1);
    for (let i = 0; i < 10; i++) keep(chains, `s${i}`, 5);
    expect(chain.state).toBe("mine");
    expect(chains.enter(chains.of("held"), {})).toBeInstanceOf(Promise);
  });

  test("are gone once their work was abandoned, or they are forgotten", () => {
    const chains = createChains<string>(10);
    keep(chains, "a", 1);
    keep(chains, "b", 1);
    const [a, ticket] = [chains.of("a"), {}];
    void chains.enter(a, ticket);
    chains.leave(a, ticket, true);
    expect(stateOf(chains, "a")).toBeUndefined();
    chains.forget(chains.of("b"));
    expect(stateOf(chains, "b")).toBeUndefined();
  });
});
