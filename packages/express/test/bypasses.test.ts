/**
 * Every known way around a guard in Express, twice: a naive adapter written as people write it, which the attack gets
 * past, and ours on the same route, which it does not. A control that stops failing proves nothing any more.
 */
import { openTestGate } from "@stepgate/contract";
import { type ActionInput, type Gate, parseStrictJson } from "@stepgate/core";
import express, { type Express, type RequestHandler } from "express";
import { describe, expect, test } from "vitest";
import { guard, type Guard } from "../src/index.ts";
import {
  type Answer,
  dial,
  expectStory,
  heldGate,
  ORDERS,
  outcomesOf,
  post,
  postText,
  send,
  serve,
  type Served,
  watchedGate,
} from "./route-server.ts";

/** What ran, in order: the arguments that each handler acted on. */
type Ran = unknown[];

/** `close_order` before any refund: the gate says SEQUENCE_VIOLATION to it, whoever asks. */
const CLOSE: ActionInput = { sequence_id: "s", tool: "close_order" };

function closeGuard(gate: Gate): Guard<{ order: number }> {
  return guard({ gate, tool: "close_order", sequenceId: () => "s", args: () => ({ order: 17 }) });
}

/** A naive adapter, otherwise correct: awaits, answers or calls `next`. */
function naiveGuard(
  gate: Gate,
  inputOf: (req: express.Request) => ActionInput = () => CLOSE,
): RequestHandler {
  return async (req, res, next) => {
    const decision = await gate.decide(inputOf(req));
    if (decision.decision === "DENY") res.status(403).json({ error: decision.deny_code });
    else next();
  };
}

/** Serves one variant of a route and attacks it; gives the answer and what ran. */
async function attack(
  routes: (app: Express, ran: Ran, gate: Gate) => void,
  assault: (served: Served) => Promise<Answer>,
): Promise<{ readonly answer: Answer; readonly ran: Ran }> {
  const { gate } = await openTestGate(ORDERS);
  const ran: Ran = [];
  const served = await serve((app) => routes(app, ran, gate));
  return { answer: await assault(served), ran };
}

/** The handler that must not run. */
function acts(ran: Ran): RequestHandler {
  return (_req, res) => {
    ran.push("closed");
    if (!res.headersSent) res.json({ closed: true });
  };
}

/** The same, as the guard's README says to write it. */
function actsOnGrant(ran: Ran, close: Guard<{ order: number }>): RequestHandler {
  return (_req, res) => {
    ran.push(close.grant(res).args);
    res.json({ closed: true });
  };
}

describe("answering and then calling next()", () => {
  const assault = (served: Served): Promise<Answer> => send(served, "POST", "/close");

  test("control: the handler runs, although the client saw a 403", async () => {
    const { answer, ran } = await attack((app, ran, gate) => {
      const naive: RequestHandler = async (_req, res, next) => {
        const decision = await gate.decide(CLOSE);
        if (decision.decision === "DENY") res.status(403).json({ error: decision.deny_code });
        next();
      };
      app.post("/close", naive, acts(ran));
    }, assault);
    expect([answer.status, ran]).toEqual([403, ["closed"]]);
  });

  test("the guard answers, and does not call next", async () => {
    const { answer, ran } = await attack(
      (app, ran, gate) => void app.post("/close", closeGuard(gate), acts(ran)),
      assault,
    );
    expect([answer.status, ran]).toEqual([409, []]);
  });

  test.each(["respond", "next"] as const)(
    "with onDeny '%s' it calls next as often as it does not answer",
    async (onDeny) => {
      const { gate } = await openTestGate(ORDERS);
      const close = guard({
        gate,
        tool: "close_order",
        sequenceId: () => "s",
        args: () => ({}),
        onDeny,
      });
      const calls: unknown[] = [];
      let answered = false;
      const served = await serve((app) => {
        app.post("/close", async (req, res) => {
          await close(req, res, (error?: unknown) => void calls.push(error));
          answered = res.headersSent;
          res.end();
        });
      });
      await send(served, "POST", "/close");
      expect([answered, calls.length]).toEqual(onDeny === "respond" ? [true, 0] : [false, 1]);
      expect(calls.every((error) => error instanceof Error)).toBe(true);
    },
  );
});

describe("a decision that nobody awaits", () => {
  const assault = (served: Served): Promise<Answer> => send(served, "POST", "/close");

  test("control: the handler runs before the gate has said no", async () => {
    const { answer, ran } = await attack((app, ran, gate) => {
      const naive: RequestHandler = (_req, res, next) => {
        void gate.decide(CLOSE).then((decision) => {
          if (decision.decision === "DENY" && !res.headersSent) res.sendStatus(403);
        });
        next();
      };
      app.post("/close", naive, acts(ran));
    }, assault);
    expect([answer.status, ran]).toEqual([200, ["closed"]]);
  });

  test("the guard waits, however long the gate takes", async () => {
    const { gate } = await openTestGate(ORDERS);
    const held = heldGate(gate);
    const ran: Ran = [];
    const served = await serve((app) => void app.post("/close", closeGuard(held.gate), acts(ran)));
    const answer = assault(served);
    await held.decided;
    await new Promise((resolve) => setTimeout(resolve, 50));
    expect(ran).toEqual([]);
    held.release();
    expect([(await answer).status, ran]).toEqual([409, []]);
  });
});

describe("next('route')", () => {
  const assault = (served: Served): Promise<Answer> => send(served, "POST", "/close");

  test("control: as a denial it leads into the next handler for the same path", async () => {
    const { answer, ran } = await attack((app, ran, gate) => {
      const naive: RequestHandler = async (_req, _res, next) => {
        const decision = await gate.decide(CLOSE);
        if (decision.decision === "DENY") next("route");
        else next();
      };
      app.post("/close", naive, acts(ran));
      app.post("/close", acts(ran));
    }, assault);
    expect([answer.status, ran]).toEqual([200, ["closed"]]);
  });

  test.each(["respond", "next"] as const)(
    "the guard's denial (%s) leads into no handler",
    async (onDeny) => {
      const { answer, ran } = await attack((app, ran, gate) => {
        const close = guard({
          gate,
          tool: "close_order",
          sequenceId: () => "s",
          args: () => ({}),
          onDeny,
        });
        app.post("/close", close, acts(ran));
        app.post("/close", acts(ran));
      }, assault);
      expect([answer.status, ran]).toEqual([409, []]);
    },
  );

  const skip: RequestHandler = (_req, _res, next) => next("route");

  test("control: a middleware before the guard jumps over it", async () => {
    const { answer, ran } = await attack((app, ran, gate) => {
      app.post("/close", skip, naiveGuard(gate), acts(ran));
      app.post("/close", acts(ran));
    }, assault);
    expect([answer.status, ran]).toEqual([200, ["closed"]]);
  });

  test("a handler that takes its arguments from the grant does not run", async () => {
    const { answer, ran } = await attack((app, ran, gate) => {
      const close = closeGuard(gate);
      app.post("/close", skip, close, actsOnGrant(ran, close));
      app.post("/close", actsOnGrant(ran, close));
    }, assault);
    expect([answer.status, ran]).toEqual([500, []]);
  });
});

describe("a guard mounted after the route", () => {
  const assault = (served: Served): Promise<Answer> => send(served, "POST", "/close");

  test("control: it is never reached", async () => {
    const { answer, ran } = await attack((app, ran, gate) => {
      app.post("/close", acts(ran));
      app.use(naiveGuard(gate));
    }, assault);
    expect([answer.status, ran]).toEqual([200, ["closed"]]);
  });

  test("a handler that takes its arguments from the grant does not run", async () => {
    const { answer, ran } = await attack((app, ran, gate) => {
      const close = closeGuard(gate);
      app.post("/close", actsOnGrant(ran, close));
      app.use(close);
    }, assault);
    expect([answer.status, ran]).toEqual([500, []]);
  });
});

describe("a path with a doubled slash", () => {
  const assault = (served: Served): Promise<Answer> => send(served, "POST", "//secret/close");

  test("control: slips past a guard on the prefix, into a broader route", async () => {
    const { answer, ran } = await attack((app, ran, gate) => {
      app.use("/secret", naiveGuard(gate));
      app.post("/*path", acts(ran));
    }, assault);
    expect([answer.status, ran]).toEqual([200, ["closed"]]);
  });

  test("the guard stands beside the handler, by whatever path that is reached", async () => {
    const { answer, ran } = await attack(
      (app, ran, gate) => void app.post("/*path", closeGuard(gate), acts(ran)),
      assault,
    );
    expect([answer.status, ran]).toEqual([409, []]);
  });

  test("and on the prefix, where it does not belong, the grant still keeps the handler from running", async () => {
    const { answer, ran } = await attack((app, ran, gate) => {
      const close = closeGuard(gate);
      app.use("/secret", close);
      app.post("/*path", actsOnGrant(ran, close));
    }, assault);
    expect([answer.status, ran]).toEqual([500, []]);
  });
});

describe.each(["/CLOSE", "/close/", "/Close/"])(
  "the path %s, which Express routes to /close",
  (path) => {
    const assault = (served: Served): Promise<Answer> => send(served, "POST", path);

    test("control: a guard that compares the path lets it through", async () => {
      const { answer, ran } = await attack((app, ran, gate) => {
        const naive = naiveGuard(gate);
        app.use((req, res, next) => (req.path === "/close" ? naive(req, res, next) : next()));
        app.post("/close", acts(ran));
      }, assault);
      expect([answer.status, ran]).toEqual([200, ["closed"]]);
    });

    test("the guard is asked for the tool that is a constant of its route", async () => {
      const { answer, ran } = await attack(
        (app, ran, gate) => void app.post("/close", closeGuard(gate), acts(ran)),
        assault,
      );
      expect([answer.status, ran]).toEqual([409, []]);
    });
  },
);

describe("HEAD, which Express routes to the GET handler", () => {
  const assault = (served: Served): Promise<Answer> => send(served, "HEAD", "/close");

  test("control: a guard that compares the method lets it through", async () => {
    const { answer, ran } = await attack((app, ran, gate) => {
      const naive = naiveGuard(gate);
      app.use((req, res, next) => (req.method === "GET" ? naive(req, res, next) : next()));
      app.get("/close", acts(ran));
    }, assault);
    expect([answer.status, ran]).toEqual([200, ["closed"]]);
  });

  test("the guard decides it", async () => {
    const { answer, ran } = await attack(
      (app, ran, gate) => void app.get("/close", closeGuard(gate), acts(ran)),
      assault,
    );
    expect([answer.status, ran]).toEqual([409, []]);
  });
});

describe("a body that the parser does not read", () => {
  const assault = (served: Served): Promise<Answer> =>
    send(served, "POST", "/refund", { "content-type": "text/plain" }, '{"amount":9000}');
  const pays =
    (ran: Ran): RequestHandler =>
    (_req, res) => {
      ran.push("paid");
      res.json({});
    };

  test("control: is decided as if it had no arguments, and the handler runs", async () => {
    const { answer, ran } = await attack((app, ran, gate) => {
      const naive = naiveGuard(gate, (req) => ({
        sequence_id: "s",
        tool: "refund",
        args: req.body ?? {},
      }));
      app.post("/refund", express.json(), naive, pays(ran));
    }, assault);
    expect([answer.status, ran]).toEqual([200, ["paid"]]);
  });

  test("the guard refuses it", async () => {
    const { answer, ran } = await attack((app, ran, gate) => {
      const refund = guard({
        gate,
        tool: "refund",
        sequenceId: () => "s",
        args: (req) => req.body,
      });
      app.post("/refund", express.json(), refund, pays(ran));
    }, assault);
    expect([answer.status, ran]).toEqual([400, []]);
  });
});

describe("a second Stepgate-Nonce header", () => {
  /** A request that ran, replayed with one header more. */
  const assault = async (served: Served): Promise<Answer> => {
    await post(served, "/refund", {}, { "stepgate-nonce": "n1" });
    return post(served, "/refund", {}, { "stepgate-nonce": ["n1", "again"] });
  };
  const pays =
    (ran: Ran): RequestHandler =>
    (_req, res) =>
      void res.json(ran.push("paid"));

  test("control: is joined to the first, which makes a nonce that was never used: it pays twice", async () => {
    const { answer, ran } = await attack((app, ran, gate) => {
      const naive = naiveGuard(gate, (req) => ({
        sequence_id: "s",
        tool: "refund",
        nonce: req.get("stepgate-nonce") ?? "",
      }));
      app.post("/refund", naive, pays(ran));
    }, assault);
    expect([answer.status, ran]).toEqual([200, ["paid", "paid"]]);
  });

  test("the guard refuses it", async () => {
    const { answer, ran } = await attack((app, ran, gate) => {
      const refund = guard({ gate, tool: "refund", sequenceId: () => "s", args: () => ({}) });
      app.post("/refund", refund, pays(ran));
    }, assault);
    expect([answer.status, ran]).toEqual([400, ["paid"]]);
  });
});

describe("req.query, which Express parses anew at every look", () => {
  /** The cap is written into the query, decided on, and lost again. */
  const capped = (req: express.Request): { amount: number } => {
    const { query } = req;
    query["amount"] = String(Math.min(Number(query["amount"]), 100));
    return { amount: Number(query["amount"]) };
  };
  const assault = (served: Served): Promise<Answer> => send(served, "POST", "/refund?amount=9000");

  test("control: what was decided is not what the handler reads", async () => {
    const { gate } = await openTestGate(ORDERS);
    const { gate: watched, asked } = watchedGate(gate);
    const { ran } = await attack((app, ran) => {
      const naive = naiveGuard(watched, (req) => ({
        sequence_id: "s",
        tool: "refund",
        args: capped(req),
      }));
      app.post(
        "/refund",
        naive,
        (req, res) => void res.json(ran.push({ amount: Number(req.query["amount"]) })),
      );
    }, assault);
    expect(asked).toMatchObject([{ args: { amount: 100 } }]);
    expect(ran).toEqual([{ amount: 9000 }]);
  });

  test.each(["stays", "is rewritten after the decision"])(
    "the grant holds what was decided, if the URL %s",
    async (url) => {
      const { gate } = await openTestGate(ORDERS);
      const { gate: watched, asked } = watchedGate(gate);
      const { ran } = await attack((app, ran) => {
        const refund = guard({
          gate: watched,
          tool: "refund",
          sequenceId: () => "s",
          args: capped,
        });
        const rewrite: RequestHandler = (req, _res, next) => {
          if (url !== "stays") req.url = "/refund?amount=7000";
          next();
        };
        app.post(
          "/refund",
          refund,
          rewrite,
          (_req, res) => void res.json(ran.push(refund.grant(res).args)),
        );
      }, assault);
      expect(asked).toMatchObject([{ args: { amount: 100 } }]);
      expect(ran).toEqual([{ amount: 100 }]);
    },
  );
});

describe("a client that goes while the gate decides", () => {
  const leave = async (routes: (app: Express, ran: Ran, gate: Gate) => void) => {
    const { gate, receipts } = await openTestGate(ORDERS);
    const held = heldGate(gate);
    const ran: Ran = [];
    const gone = Promise.withResolvers<void>();
    const served = await serve((app) => {
      app.use((req, _res, next) => {
        req.socket.once("close", () => gone.resolve());
        next();
      });
      routes(app, ran, held.gate);
    });
    const socket = await dial(served, postText("/refund", {}));
    await held.decided;
    socket.destroy();
    await gone.promise;
    held.release();
    await new Promise((resolve) => setTimeout(resolve, 50));
    return { ran, receipts };
  };

  test("control: the handler runs for nobody", async () => {
    const { ran } = await leave((app, ran, gate) => {
      const naive = naiveGuard(gate, () => ({ sequence_id: "s", tool: "refund" }));
      app.post("/refund", express.json(), naive, () => void ran.push("paid"));
    });
    expect(ran).toEqual(["paid"]);
  });

  test("the guard does not let it run, and says that it was interrupted", async () => {
    const { ran, receipts } = await leave((app, ran, gate) => {
      const refund = guard({ gate, tool: "refund", sequenceId: () => "s", args: () => ({}) });
      app.post("/refund", express.json(), refund, () => void ran.push("paid"));
    });
    expect(ran).toEqual([]);
    const chain = await expectStory(() => receipts("s"), ["open", "ALLOW", "outcome:interrupted"]);
    expect(outcomesOf(chain)).toHaveLength(1);
  });
});

describe("req.destroyed, which is true once a body has been read", () => {
  const assault = (served: Served): Promise<Answer> => post(served, "/refund", { amount: 1 });

  test("control: a guard that trusts it lets every POST hang", async () => {
    let stopped = 0;
    const { gate } = await openTestGate(ORDERS);
    const served = await serve((app) => {
      const naive: RequestHandler = async (req, _res, next) => {
        await gate.decide({ sequence_id: "s", tool: "refund" });
        if (req.destroyed) stopped++;
        else next();
      };
      app.post("/refund", express.json(), naive, (_req, res) => void res.json({}));
    });
    const hanging = assault(served).then(
      () => "answered",
      () => "cut off",
    );
    await expect.poll(() => stopped).toBe(1);
    const waited = new Promise((resolve) => setTimeout(resolve, 100, "hangs"));
    expect(await Promise.race([hanging, waited])).toBe("hangs");
  });

  test("the guard lets a POST through whose body has been read", async () => {
    const { answer, ran } = await attack((app, ran, gate) => {
      const refund = guard({
        gate,
        tool: "refund",
        sequenceId: () => "s",
        args: (req) => req.body,
      });
      app.post(
        "/refund",
        express.json(),
        refund,
        (req, res) => void res.json(ran.push(req.destroyed)),
      );
    }, assault);
    expect([answer.status, ran]).toEqual([200, [true]]);
  });
});

describe("a JSON member that stands twice", () => {
  const assault = (served: Served): Promise<Answer> =>
    send(
      served,
      "POST",
      "/refund",
      { "content-type": "application/json" },
      '{"amount":5,"amount":9000}',
    );
  const texts = new WeakMap<object, string>();
  const keepsText = express.json({
    verify: (req, _res, body) => void texts.set(req, body.toString()),
  });
  /** Reads the text by itself, as a signature check or a filter before the application does, and finds the first. */
  const firstAmount = (req: object): { amount: number } => ({
    amount: Number(/"amount":(\d+)/.exec(texts.get(req) ?? "")?.[1]),
  });

  test("control: the gate sees the first, the handler acts on the last", async () => {
    const { gate } = await openTestGate(ORDERS);
    const { gate: watched, asked } = watchedGate(gate);
    const { ran } = await attack((app, ran) => {
      const naive = naiveGuard(watched, (req) => ({
        sequence_id: "s",
        tool: "refund",
        args: firstAmount(req),
      }));
      app.post("/refund", keepsText, naive, (req, res) => void res.json(ran.push(req.body)));
    }, assault);
    expect(asked).toMatchObject([{ args: { amount: 5 } }]);
    expect(ran).toEqual([{ amount: 9000 }]);
  });

  const reads: readonly (readonly [
    which: string,
    args: (req: express.Request) => { amount: number },
    amount: number,
  ])[] = [
    ["the first", firstAmount, 5],
    ["the last", (req) => ({ amount: Number(req.body.amount) }), 9000],
  ];
  test.each(reads)(
    "what was decided is what the grant holds, if args reads %s",
    async (_which, args, amount) => {
      const { gate } = await openTestGate(ORDERS);
      const { gate: watched, asked } = watchedGate(gate);
      const { ran } = await attack((app, ran) => {
        const refund = guard({ gate: watched, tool: "refund", sequenceId: () => "s", args });
        app.post(
          "/refund",
          keepsText,
          refund,
          (_req, res) => void res.json(ran.push(refund.grant(res).args)),
        );
      }, assault);
      expect(asked).toMatchObject([{ args: { amount } }]);
      expect(ran).toEqual([{ amount }]);
    },
  );

  test("and core's strict reader, as the parser's verify, refuses such a body before anyone reads it", async () => {
    const { answer, ran } = await attack((app, ran, gate) => {
      const strict = express.json({
        verify: (_req, _res, body) => void parseStrictJson(body.toString()),
      });
      const refund = guard({
        gate,
        tool: "refund",
        sequenceId: () => "s",
        args: (req) => req.body,
      });
      app.post("/refund", strict, refund, (_req, res) => void res.json(ran.push("paid")));
    }, assault);
    expect([answer.status, ran]).toEqual([403, []]);
  });
});
