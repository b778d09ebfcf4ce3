/** What a command says, and where: colours and progress only on a terminal. */
import { Writable } from "node:stream";
import { describe, expect, test } from "vitest";
import { createOutput, printable } from "../src/output.ts";
import { inProcess } from "./in-process.ts";

describe("colours", () => {
  test("are there on a terminal", () => {
    expect(createOutput(inProcess({ isTTY: true }), false).paint("green", "ok")).toBe(
      "\u001b[32mok\u001b[39m",
    );
  });

  test.each([
    ["a pipe", false, {}],
    ["a terminal, with NO_COLOR", true, { NO_COLOR: "1" }],
    ["a dumb terminal", true, { TERM: "dumb" }],
  ])("are absent on %s", (_, isTTY, environment) => {
    expect(createOutput(inProcess({ isTTY, environment }), false).paint("green", "ok")).toBe("ok");
  });
});

describe("lines", () => {
  test("for people are left out where JSON was asked for", async () => {
    const world = inProcess({ isTTY: true });
    const output = createOutput(world, true);
    await output.say("hello");
    await output.document({ a: 1 });
    expect(world.stdout.text).toBe('{"a":1}\n');
  });

  test("begin on an empty screen only where there is one", async () => {
    for (const [isTTY, json, written] of [
      [true, false, "\u001b[2J\u001b[3J\u001b[H"],
      [true, true, ""],
      [false, false, ""],
    ] as const) {
      const world = inProcess({ isTTY });
      await createOutput(world, json).clear();
      expect(world.stdout.text).toBe(written);
    }
  });

  test("of others' making cannot rewrite the screen", () => {
    expect(printable("a\u001b[2Kb\nc\u202ed\u0085")).toBe("a\ufffd[2Kb\ufffdc\ufffdd\ufffd");
    const world = inProcess({ isTTY: true });
    createOutput(world, false).error("one\u001b[1A\ntwo");
    expect(world.stderr.text).toBe("one\ufffd[1A\ntwo\n");
  });

  test("wait for a slow reader", async () => {
    const world = inProcess();
    let release = (): void => undefined;
    const slow = Object.assign(
      new Writable({
        highWaterMark: 1,
        write: (_chunk, _encoding, done) => {
          release = done;
        },
      }),
      { isTTY: false },
    );
    let written = false;
    const line = createOutput({ ...world, stdout: slow }, false)
      .line("long")
      .then(() => (written = true));
    await new Promise(setImmediate);
    expect(written).toBe(false);
    release();
    await line;
    expect(written).toBe(true);
  });
});

describe("progress", () => {
  test("is shown on a terminal after a second, ten times a second at most, and cleared at the end", () => {
    let now = 0;
    const world = inProcess({ isTTY: true });
    const progress = createOutput(world, false, () => now).progress("records");
    for (now = 0; now <= 1300; now += 10) progress.at(now * 1000);
    const shown = world.stderr.text.split("\r\u001b[K");
    expect(shown).toEqual([
      "",
      "1,000,000 records",
      "1,100,000 records",
      "1,200,000 records",
      "1,300,000 records",
    ]);
    progress.end();
    expect(world.stderr.text.endsWith("\r\u001b[K")).toBe(true);
    expect(world.stdout.text).toBe("");
  });

  test("of a known total is shown with its share, and makes room for an error", () => {
    let now = 0;
    const world = inProcess({ isTTY: true });
    const output = createOutput(world, false, () => now);
    const progress = output.progress("bytes", 2000);
    now = 1000;
    progress.at(1999);
    output.error("a.jsonl:1:1: GAP");
    expect(world.stderr.text).toBe("\r\u001b[K1,999 bytes (99 %)\r\u001b[Ka.jsonl:1:1: GAP\n");
  });

  test("of what is done within a second is not shown", () => {
    const world = inProcess({ isTTY: true });
    const progress = createOutput(world, false, () => 0).progress("records");
    progress.at(5);
    progress.end();
    expect(world.stderr.text).toBe("");
  });

  test("is not shown in a pipe", () => {
    let now = 0;
    const world = inProcess();
    const progress = createOutput(world, false, () => now).progress("records");
    now = 5000;
    progress.at(5);
    progress.end();
    expect(world.stderr.text).toBe("");
  });
});
