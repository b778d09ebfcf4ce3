/** `stepgate keys rotate` and `revoke`: one key hands over to the next, wherever it is stopped; a revoked one signs no more. */
import {
  chmodSync,
  cpSync,
  existsSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import {
  type Decision,
  generateSigningKey,
  importKeySet,
  type KeyReceipt,
  type PublicJwk,
  type Receipt,
  receiptLine,
  type VerificationReport,
  verifyReceipts,
} from "@stepgate/core";
import { sqliteStore } from "@stepgate/store-sqlite";
import { describe, expect, test } from "vitest";
import { openGate, type OpenedGate } from "../src/index.ts";
import { openKeyFolder, readPublicKeys } from "../src/key-folder.ts";
import { runProgram } from "../src/program.ts";
import { rotateKeys } from "../src/rotate-keys.ts";
import { run, stepgate, temporaryFolder } from "./binary.ts";
import { onFailingDisk } from "./failing-disk.ts";
import { inProcess } from "./in-process.ts";

const POLICY = `schema: stepgate.policy/1
id: p
version: "1"
sequence: a, b
functions: { a: [DO], b: [DO] }
`;

/** A folder with a policy, keys, and a store that a gate was opened on. */
interface Place {
  readonly cwd: string;
  readonly keys: string;
  readonly db: string;
}

async function usedPlace(): Promise<Place> {
  const cwd = temporaryFolder({ "policy.yaml": POLICY });
  const place = { cwd, keys: join(cwd, "keys"), db: join(cwd, "gate.db") };
  const gate = await gateIn(place);
  await ask(gate, "first");
  await gate.close();
  return place;
}

function gateIn({ cwd, keys, db }: Place, clock?: () => number): Promise<OpenedGate> {
  return openGate({
    policy: join(cwd, "policy.yaml"),
    store: `sqlite:${db}`,
    keys,
    ...(clock === undefined ? {} : { clock }),
  });
}

function ask(gate: OpenedGate, sequence_id: string): Promise<Decision> {
  return gate.decide({ sequence_id, function: "a", action_type: "DO" });
}

async function rotate({ keys, db }: Place, more: object = {}): Promise<void> {
  const store = sqliteStore(db);
  try {
    await rotateKeys(keys, { nowMs: Date.now(), overlapSeconds: 60, store, ...more });
  } finally {
    await store.close();
  }
}

async function listed({ keys }: Place): Promise<readonly PublicJwk[]> {
  return (await readPublicKeys(keys)).keys;
}

function privateFiles({ keys }: Place): readonly string[] {
  return readdirSync(keys).filter((name) => name.endsWith(".pem"));
}

async function everything({ db }: Place): Promise<readonly Receipt[]> {
  const store = sqliteStore(db);
  try {
    const lines = await Array.fromAsync(store.lines());
    return lines.map((line) => JSON.parse(line) as Receipt);
  } finally {
    await store.close();
  }
}

async function handovers(
  place: Place,
): Promise<readonly (readonly [string | undefined, string])[]> {
  const records = await everything(place);
  return records
    .filter((one): one is KeyReceipt => one.kind === "key")
    .map((one) => [one.key_id, one.new_key.kid] as const);
}

/** As an auditor: the receipts and the public set, nothing else. */
async function verified(place: Place): Promise<VerificationReport> {
  const keys = importKeySet(JSON.parse(readFileSync(join(place.keys, "keys.json"), "utf8")));
  return verifyReceipts((await everything(place)).map(receiptLine), { keys });
}

async function mustBeSound(place: Place): Promise<void> {
  expect(await verified(place)).toMatchObject({ result: "sound", findings: [] });
}

describe("keys rotate", () => {
  test("makes the next key, lists both, tells the log, ends the old key and destroys its private part", async () => {
    const place = await usedPlace();
    const before = await openKeyFolder(place.keys, Date.now());
    const old = before.signer.keyId;
    const started = Math.floor(Date.now() / 1000);
    const terminal = inProcess();
    const line = ["keys", "rotate", place.keys, "--store", `sqlite:${place.db}`, "--json"];
    expect(await runProgram(line, terminal)).toBe(0);
    const after = await openKeyFolder(place.keys, Date.now());
    const made = after.signer.keyId;
    const [first, second, ...more] = await listed(place);
    expect(JSON.parse(terminal.stdout.text)).toEqual({
      folder: place.keys,
      from: old,
      to: made,
      file: join(place.keys, "signing-key-2.pem"),
      exp: first?.exp,
      told: "yes",
      resumed: false,
    });
    expect(more).toEqual([]);
    expect(first).toEqual({ ...before.signer.publicJwk, exp: expect.any(Number) });
    expect(second).toEqual({ ...after.signer.publicJwk, nbf: expect.any(Number) });
    expect(made).not.toBe(old);
    expect(Number(first?.exp) - started).toBeGreaterThan(3_600);
    expect(Number(first?.exp) - started).toBeLessThan(3_630);
    expect(Number(second?.nbf)).toBeGreaterThanOrEqual(started);
    expect(privateFiles(place)).toEqual(["signing-key-2.pem"]);
    expect(statSync(join(place.keys, "signing-key-2.pem")).mode & 0o777).toBe(0o600);
    expect(statSync(join(place.keys, "keys.json")).mode & 0o777).toBe(0o644);
    expect(after.saltKey).toEqual(before.saltKey);
    expect(await handovers(place)).toEqual([[old, made]]);
    const gate = await gateIn(place);
    expect((await ask(gate, "second")).receipt?.key_id).toBe(made);
    await gate.close();
    await mustBeSound(place);
    const shown = inProcess();
    expect(await runProgram(["keys", "public", place.keys], shown)).toBe(0);
    expect(JSON.parse(shown.stdout.text).keys.map(({ kid }: PublicJwk) => kid)).toEqual([
      old,
      made,
    ]);
  });

  test("a gate that runs takes the next key within a second; meanwhile and afterwards all verifies", async () => {
    const place = await usedPlace();
    let ahead = 0;
    const gate = await gateIn(place, () => Date.now() + ahead);
    const { signer } = await openKeyFolder(place.keys, Date.now());
    await rotate(place);
    await rotate(place);
    expect((await ask(gate, "at-once")).receipt?.key_id).toBe(signer.keyId);
    ahead = 1_000;
    const { signer: newest } = await openKeyFolder(place.keys, Date.now());
    expect((await ask(gate, "a-second-later")).receipt?.key_id).toBe(newest.keyId);
    await gate.close();
    expect(await listed(place)).toHaveLength(3);
    await mustBeSound(place);
  });

  test("a gate on a folder takes no key from its own process, which would be lost with it", async () => {
    const place = await usedPlace();
    const gate = await gateIn(place);
    await expect(gate.rotateKey(generateSigningKey())).rejects.toMatchObject({
      code: "UNSUPPORTED",
      message: expect.stringContaining(`stepgate keys rotate ${place.keys}`),
    });
    expect(await handovers(place)).toEqual([]);
    await gate.close();
  });

  test("is told to the log of a shadow run as well", async () => {
    const cwd = temporaryFolder({ "policy.yaml": POLICY });
    const place = { cwd, keys: join(cwd, "keys"), db: join(cwd, "gate.db") };
    const policy = join(cwd, "policy.yaml");
    const shadow = {
      policy,
      store: `sqlite:${place.db}`,
      keys: place.keys,
      mode: "shadow",
    } as const;
    await (await openGate(shadow)).close();
    await rotate(place);
    expect(await handovers(place)).toHaveLength(1);
    await mustBeSound(place);
  });

  test("a gate whose folder lost the next key denies, and runs nothing", async () => {
    const place = await usedPlace();
    let ahead = 0;
    const gate = await gateIn(place, () => Date.now() + ahead);
    await rotate(place);
    rmSync(join(place.keys, "signing-key-2.pem"));
    ahead = 1_000;
    let ran = false;
    await expect(
      gate.enforce({ sequence_id: "s", function: "a", action_type: "DO" }, () => (ran = true)),
    ).rejects.toMatchObject({ code: "STORE_UNAVAILABLE" });
    expect(ran).toBe(false);
    await gate.close();
  });

  test("without a store no log tells of it, and it says what that means", async () => {
    const place = await usedPlace();
    const terminal = inProcess();
    expect(await runProgram(["keys", "rotate", place.keys, "--overlap", "90s"], terminal)).toBe(0);
    expect(terminal.stdout.text).toContain("no log tells of it");
    expect(terminal.stdout.text).toContain("restart this folder's gates before");
    expect(await handovers(place)).toEqual([]);
    const gate = await gateIn(place);
    await ask(gate, "second");
    await gate.close();
    await mustBeSound(place);
  });

  test("keeps what else the public set holds, and an earlier end that was set", async () => {
    const place = await usedPlace();
    const person = { ...generateSigningKey().publicJwk, roles: ["finance"], note: "x" };
    const [own] = await listed(place);
    const exp = Math.floor(Date.now() / 1000) + 30;
    writeFileSync(
      join(place.keys, "keys.json"),
      JSON.stringify({ issuer: "us", keys: [person, { ...own, exp }] }),
    );
    await rotate(place);
    const set = JSON.parse(readFileSync(join(place.keys, "keys.json"), "utf8"));
    expect(set.issuer).toBe("us");
    expect(set.keys[0]).toEqual(person);
    expect(set.keys[1].exp).toBe(exp);
    await mustBeSound(place);
  });

  test("a record at the last millisecond of the old key is believed, one a millisecond later is not", async () => {
    const place = await usedPlace();
    const copy = `${place.keys}-old`;
    cpSync(place.keys, copy, { recursive: true });
    await rotate(place);
    const [old] = await listed(place);
    const end = Number(old?.exp) * 1000;
    const signed = async (at: number): Promise<readonly string[]> => {
      const gate = await openGate({
        policy: join(place.cwd, "policy.yaml"),
        store: "memory:",
        keys: copy,
        clock: () => at,
      });
      const records = await Array.fromAsync(gate.receipts("@log"));
      const keys = importKeySet({ keys: await listed(place) });
      const { findings } = await verifyReceipts(records, { keys });
      return findings.map(({ code }) => code);
    };
    expect(await signed(end - 1)).toEqual([]);
    expect(await signed(end)).toEqual(["KEY_NOT_VALID"]);
  });

  test("goes through an expired or revoked key, which tells the log nothing: its word is worth nothing", async () => {
    for (const window of [{ exp: 1_000 }, { revoked_from: 1_000 }]) {
      const place = await usedPlace();
      const [own] = await listed(place);
      const set = JSON.stringify({ keys: [{ ...own, ...window }] });
      writeFileSync(join(place.keys, "keys.json"), set);
      await expect(gateIn(place)).rejects.toMatchObject({ code: "KEY_INVALID" });
      const terminal = inProcess();
      const line = ["keys", "rotate", place.keys, "--store", `sqlite:${place.db}`];
      expect(await runProgram(line, terminal)).toBe(0);
      expect(terminal.stdout.text).toContain("revoked or expired");
      expect(await handovers(place)).toEqual([]);
      expect((await listed(place))[0]).toMatchObject(window);
      await (await gateIn(place)).close();
    }
  });

  test.each<readonly [string, (place: Place) => void, string]>([
    ["no public set", ({ keys }) => rmSync(join(keys, "keys.json")), "no such file"],
    ["no private key", ({ keys }) => rmSync(join(keys, "signing-key.pem")), "is missing"],
    [
      "a private key that others may read",
      ({ keys }) => chmodSync(join(keys, "signing-key.pem"), 0o644),
      "is open to others (mode 0644)",
    ],
    [
      "three private keys",
      ({ keys }) =>
        ["2", "3"].forEach((n) =>
          cpSync(join(keys, "signing-key.pem"), join(keys, `signing-key-${n}.pem`)),
        ),
      "more than two signing keys",
    ],
    [
      "a private part in the public set",
      ({ keys }) => {
        const { privateKey, publicJwk } = generateSigningKey();
        const { d } = privateKey.export({ format: "jwk" });
        writeFileSync(join(keys, "keys.json"), JSON.stringify({ keys: [{ ...publicJwk, d }] }));
      },
      "holds a private key",
    ],
  ])("refuses a folder with %s, and changes nothing", async (_name, spoil, message) => {
    const place = await usedPlace();
    spoil(place);
    const before = readdirSync(place.keys).filter((name) => name !== "keys.lock");
    await expect(rotate(place)).rejects.toThrow(message);
    expect(readdirSync(place.keys).filter((name) => name !== "keys.lock")).toEqual(before);
    expect(await handovers(place)).toEqual([]);
  });

  test("refuses a store without a log, and changes nothing", async () => {
    const place = await usedPlace();
    const empty = join(place.cwd, "empty.db");
    await sqliteStore(empty).close();
    await expect(rotate({ ...place, db: empty })).rejects.toThrow("holds no log yet");
    expect(privateFiles(place)).toEqual(["signing-key.pem"]);
    expect(await listed(place)).toHaveLength(1);
  });

  test.each([["-1"], ["0s"], ["1y"], ["3600"], [""], ["367d"]])(
    "refuses --overlap %j",
    async (overlap) => {
      const terminal = inProcess();
      expect(await runProgram(["keys", "rotate", "x", `--overlap=${overlap}`], terminal)).toBe(2);
      expect(terminal.stderr.text).toContain("write 90s, 15m, 1h or 2d");
    },
  );
});

describe("a rotation that is stopped", () => {
  test("at any call of the file system leaves a folder that opens, and the next rotation ends it", async () => {
    const template = await usedPlace();
    const stopped = async (nth: number, when: "before" | "after"): Promise<boolean> => {
      const cwd = temporaryFolder();
      cpSync(template.cwd, cwd, { recursive: true });
      const place = { cwd, keys: join(cwd, "keys"), db: join(cwd, "gate.db") };
      const fail = (): never => {
        throw new Error("the process is gone");
      };
      const { failed } = await onFailingDisk({ nth, when, fail }, () => rotate(place));
      const files = privateFiles(place);
      const done = files.length === 1 && files[0] !== "signing-key.pem";
      const gate = await gateIn(place);
      expect(await ask(gate, "between"), `${when} ${nth}`).toMatchObject({ decision: "ALLOW" });
      await gate.close();
      await mustBeSound(place);
      if (!done) await rotate(place);
      expect(privateFiles(place), `${when} ${nth}`).toEqual(["signing-key-2.pem"]);
      const [old, made, ...more] = await listed(place);
      expect([old?.exp, made?.exp, more], `${when} ${nth}`).toEqual([
        expect.any(Number),
        undefined,
        [],
      ]);
      expect(await handovers(place), `${when} ${nth}`).toEqual([[old?.kid, made?.kid]]);
      const again = await gateIn(place);
      expect((await ask(again, "after")).receipt?.key_id).toBe(made?.kid);
      await again.close();
      await mustBeSound(place);
      return failed;
    };
    let nth = 1;
    for (; await stopped(nth, "before"); nth++) await stopped(nth, "after");
    // As many as there are steps, and more: the loop ran to the end of a whole rotation.
    expect(nth).toBeGreaterThan(15);
  }, 120_000);

  test("by the system's kill lets go of its lock", async () => {
    const place = await usedPlace();
    const child = fileURLToPath(new URL("rotating-process.ts", import.meta.url));
    for (const nth of ["6", "14"]) {
      const { code } = await run(process.execPath, [child, place.keys, place.db, nth], place.cwd);
      expect(code).toBe(null);
    }
    expect(existsSync(join(place.keys, "signing-key-2.pem"))).toBe(true);
    await rotate(place);
    expect(privateFiles(place)).toEqual(["signing-key-2.pem"]);
    expect(await handovers(place)).toHaveLength(1);
    await mustBeSound(place);
  }, 60_000);
});

describe("rotations at once", () => {
  test("in processes of their own come one after the other, each from the key before it", async () => {
    const place = await usedPlace();
    const line = ["keys", "rotate", "keys", "--store", "sqlite:gate.db", "--json"];
    const runs = await Promise.all([1, 2, 3].map(() => stepgate(place.cwd, line)));
    expect(runs.map(({ code, stderr }) => [code, stderr])).toEqual(Array(3).fill([0, ""]));
    const kids = (await listed(place)).map(({ kid }) => kid);
    expect(kids).toHaveLength(4);
    expect(await handovers(place)).toEqual(kids.slice(1).map((kid, i) => [kids[i], kid]));
    expect(privateFiles(place)).toEqual(["signing-key-4.pem"]);
    await mustBeSound(place);
  }, 60_000);

  test("with a revocation lose neither", async () => {
    const place = await usedPlace();
    const [own] = await listed(place);
    await rotate(place);
    const revoke = ["keys", "revoke", "--from", "1", "--", String(own?.kid), place.keys];
    const [, code] = await Promise.all([rotate(place), runProgram(revoke, inProcess())]);
    expect(code).toBe(0);
    const set = await listed(place);
    expect(set).toHaveLength(3);
    expect(set[0]).toMatchObject({ kid: own?.kid, revoked_from: 1 });
  });
});

describe("keys revoke", () => {
  async function revoke(
    place: Place,
    ...args: readonly string[]
  ): Promise<readonly [number, string]> {
    const [own] = await listed(place);
    const terminal = inProcess();
    const line = ["keys", "revoke", ...args, "--", String(own?.kid), place.keys];
    return [await runProgram(line, terminal), terminal.stdout.text + terminal.stderr.text];
  }

  test("writes the time, whereupon no gate starts and no record under the key is believed", async () => {
    const place = await usedPlace();
    await mustBeSound(place);
    const [code, text] = await revoke(place, "--from", "2026-02-22T10:00:00+01:00");
    expect(code).toBe(0);
    expect(text).toContain("from 2026-02-22T09:00:00Z on");
    expect((await listed(place))[0]?.revoked_from).toBe(Date.UTC(2026, 1, 22, 9) / 1000);
    await expect(gateIn(place)).rejects.toMatchObject({
      code: "KEY_INVALID",
      message: expect.stringContaining("as revoked"),
    });
    const report = await verified(place);
    expect(report.result).toBe("invalid");
    expect(new Set(report.findings.map(({ code: of }) => of))).toEqual(new Set(["KEY_NOT_VALID"]));
  });

  test("takes now by default, and seconds; an earlier time replaces a later one, never the other way", async () => {
    const place = await usedPlace();
    const now = Math.floor(Date.now() / 1000);
    expect((await revoke(place))[0]).toBe(0);
    expect((await listed(place))[0]?.revoked_from).toBeGreaterThanOrEqual(now);
    expect((await revoke(place, "--from", "5000"))[0]).toBe(0);
    expect((await revoke(place, "--from", "5000"))[0]).toBe(0);
    const [code, text] = await revoke(place, "--from", "5001");
    expect(code).toBe(2);
    expect(text).toContain("a revocation is not taken back");
    expect((await listed(place))[0]?.revoked_from).toBe(5_000);
  });

  test.each([
    ["yesterday"],
    ["2026-02-22"],
    ["2026-02-22T09:00:00"],
    ["2026-13-22T09:00:00Z"],
    ["-1"],
  ])("refuses --from %s, which is no time that all understand alike", async (time) => {
    const place = await usedPlace();
    const [code, text] = await revoke(place, `--from=${time}`);
    expect(code).toBe(2);
    expect(text).toContain("2026-02-22T09:00:00Z");
    expect((await listed(place))[0]).not.toHaveProperty("revoked_from");
  });

  test("names the keys that there are where the one that was named is none of them", async () => {
    const place = await usedPlace();
    const [own] = await listed(place);
    const terminal = inProcess();
    expect(await runProgram(["keys", "revoke", "nobody", place.keys], terminal)).toBe(2);
    expect(terminal.stderr.text).toContain(`lists no key 'nobody'; it lists ${own?.kid}`);
    expect(readdirSync(place.keys)).not.toContain("keys.lock");
  });
});

describe("a folder after a rotation", () => {
  test.each(["signing-key-2.pem"])("refuses %s when others may read it", async (name) => {
    const place = await usedPlace();
    await rotate(place);
    for (const wide of [0o640, 0o604, 0o660]) {
      chmodSync(join(place.keys, name), wide);
      await expect(gateIn(place)).rejects.toThrow("is open to others");
    }
  });

  test("makes no new key in place of one that was lost, nor a new set that forgets the old keys", async () => {
    const place = await usedPlace();
    await rotate(place);
    const lost = join(place.keys, "signing-key-2.pem");
    const pem = readFileSync(lost);
    rmSync(lost);
    await expect(gateIn(place)).rejects.toThrow("is missing beside keys.json");
    writeFileSync(lost, pem, { mode: 0o600 });
    rmSync(join(place.keys, "keys.json"));
    await expect(gateIn(place)).rejects.toThrow("keys.json: is missing; restore it");
    expect(privateFiles(place)).toEqual(["signing-key-2.pem"]);
  });
});
