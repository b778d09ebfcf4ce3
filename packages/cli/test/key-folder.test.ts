/** The folder of keys: made once, by whoever comes first; never overwritten, never lent to others. */
import { createPrivateKey, createPublicKey } from "node:crypto";
import {
  chmodSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { importKeySet } from "@stepgate/core";
import { describe, expect, test } from "vitest";
import { makeKeyFolder, openKeyFolder, readPublicKeys } from "../src/key-folder.ts";
import { run, temporaryFolder } from "./binary.ts";

const NOW = 1_800_000_000_000;
const mode = (file: string): string => (statSync(file).mode & 0o777).toString(8);

describe("first use", () => {
  test("makes an Ed25519 key, a salt key and the public set, each with its mode", async () => {
    const folder = join(temporaryFolder(), "deep", "keys");
    const { signer, saltKey } = await openKeyFolder(folder, NOW);
    expect(mode(folder)).toBe("700");
    expect(mode(join(folder, "signing-key.pem"))).toBe("600");
    expect(mode(join(folder, "salt-key"))).toBe("600");
    expect(mode(join(folder, "keys.json"))).toBe("644");
    const pem = readFileSync(join(folder, "signing-key.pem"), "utf8");
    expect(pem).toMatch(/^-----BEGIN PRIVATE KEY-----\n/);
    expect(createPrivateKey(pem).asymmetricKeyType).toBe("ed25519");
    expect(readFileSync(join(folder, "salt-key"), "utf8")).toBe(
      `${Buffer.from(saltKey).toString("hex")}\n`,
    );
    expect(saltKey).toHaveLength(32);
    const published = importKeySet(JSON.parse(readFileSync(join(folder, "keys.json"), "utf8")));
    expect([...published.keys()]).toEqual([signer.keyId]);
    expect(published.get(signer.keyId)?.key.equals(createPublicKey(signer.privateKey))).toBe(true);
    expect(readFileSync(join(folder, "keys.json"), "utf8")).not.toContain('"d"');
  });

  test("keeps the private files out of version control, and leaves nothing else behind", async () => {
    const folder = join(temporaryFolder(), "keys");
    await openKeyFolder(folder, NOW);
    expect(readdirSync(folder).toSorted()).toEqual([
      ".gitignore",
      "keys.json",
      "salt-key",
      "signing-key.pem",
    ]);
    const ignored = readFileSync(join(folder, ".gitignore"), "utf8").split("\n");
    expect(ignored).toContain("signing-key.pem");
    expect(ignored).toContain("salt-key");
  });

  test("the modes are these whatever the umask", async () => {
    const folder = join(temporaryFolder(), "keys");
    const umask = process.umask(0o077);
    try {
      await openKeyFolder(folder, NOW);
    } finally {
      process.umask(umask);
    }
    expect(mode(join(folder, "keys.json"))).toBe("644");
  });

  test("two folders have different keys", async () => {
    const [one, other] = await Promise.all(
      ["a", "b"].map((name) => openKeyFolder(join(temporaryFolder(), name), NOW)),
    );
    expect(one?.signer.keyId).not.toBe(other?.signer.keyId);
    expect(one?.saltKey).not.toEqual(other?.saltKey);
  });

  test("processes that start at once end with the same keys", async () => {
    const cwd = temporaryFolder();
    const child = fileURLToPath(new URL("open-folders.ts", import.meta.url));
    const runs = await Promise.all(
      [1, 2, 3].map(() => run(process.execPath, [child, cwd, "40"], cwd)),
    );
    expect(runs.map(({ code, stderr }) => ({ code, stderr }))).toEqual(
      Array(3).fill({ code: 0, stderr: "" }),
    );
    expect(runs[0]?.stdout.trim().split("\n")).toHaveLength(40);
    expect(runs[1]?.stdout).toBe(runs[0]?.stdout);
    expect(runs[2]?.stdout).toBe(runs[0]?.stdout);
    for (let n = 0; n < 40; n++) expect(readdirSync(join(cwd, `${n}`))).toHaveLength(4);
  }, 60_000);

  test("what a process that was stopped half way left behind is completed", async () => {
    const folder = join(temporaryFolder(), "keys");
    const first = await openKeyFolder(folder, NOW);
    rmSync(join(folder, "keys.json"));
    rmSync(join(folder, "salt-key"));
    const second = await openKeyFolder(folder, NOW);
    expect(second.signer.keyId).toBe(first.signer.keyId);
    expect(existsSync(join(folder, "keys.json"))).toBe(true);
  });
});

describe("later use", () => {
  test("reads the same keys and changes no file", async () => {
    const folder = join(temporaryFolder(), "keys");
    const first = await openKeyFolder(folder, NOW);
    const files = ["signing-key.pem", "salt-key", "keys.json"].map((name) => join(folder, name));
    const before = files.map((file) => [
      readFileSync(file, "utf8"),
      statSync(file).ino,
      statSync(file).mtimeMs,
    ]);
    const second = await openKeyFolder(folder, NOW);
    expect(second.signer.keyId).toBe(first.signer.keyId);
    expect(second.saltKey).toEqual(first.saltKey);
    expect(
      files.map((file) => [readFileSync(file, "utf8"), statSync(file).ino, statSync(file).mtimeMs]),
    ).toEqual(before);
  });

  test.each(["signing-key.pem", "salt-key"])(
    "refuses %s when others may read it, and says how to mend it",
    async (name) => {
      const folder = join(temporaryFolder(), "keys");
      await openKeyFolder(folder, NOW);
      for (const wide of [0o640, 0o604, 0o620, 0o601]) {
        chmodSync(join(folder, name), wide);
        await expect(openKeyFolder(folder, NOW)).rejects.toMatchObject({
          code: "KEY_INVALID",
          message: `${join(folder, name)}: is open to others (mode 0${wide.toString(8)}); run chmod 600 ${join(folder, name)}`,
        });
      }
      chmodSync(join(folder, name), 0o400);
      await expect(openKeyFolder(folder, NOW)).resolves.toBeDefined();
    },
  );

  test.each(["signing-key.pem", "salt-key"])(
    "does not make a new %s where the old one was lost",
    async (name) => {
      const folder = join(temporaryFolder(), "keys");
      await openKeyFolder(folder, NOW);
      rmSync(join(folder, name));
      await expect(openKeyFolder(folder, NOW)).rejects.toMatchObject({
        code: "KEY_INVALID",
        message: expect.stringContaining(`${name}: is missing`),
      });
      expect(existsSync(join(folder, name))).toBe(false);
    },
  );

  test.each([
    ["signing-key.pem", "", "PKCS #8"],
    [
      "signing-key.pem",
      "-----BEGIN PRIVATE KEY-----\nMC4=\n-----END PRIVATE KEY-----\n",
      "PKCS #8",
    ],
    ["salt-key", "", "64 hex digits"],
    ["salt-key", `${"ab".repeat(31)}\n`, "64 hex digits"],
    ["salt-key", `${"AB".repeat(32)}x`, "64 hex digits"],
    ["keys.json", "{", "keys.json:1:2: not JSON"],
    ["keys.json", '{"keys":[],"keys":[]}', "keys.json:1:12: keys: a member stands twice"],
    ["keys.json", '{"keys":[]}', "does not list the signing key"],
  ])("refuses a %s that holds %j", async (name, content, message) => {
    const folder = join(temporaryFolder(), "keys");
    await openKeyFolder(folder, NOW);
    writeFileSync(join(folder, name), content);
    await expect(openKeyFolder(folder, NOW)).rejects.toThrow(message);
    expect(readFileSync(join(folder, name), "utf8")).toBe(content);
  });

  test.each([
    [{ roles: ["finance"] }, "with roles"],
    [{ revoked_from: NOW / 1000 }, "as revoked"],
    [{ exp: NOW / 1000 }, "not valid at this time"],
    [{ nbf: NOW / 1000 + 1 }, "not valid at this time"],
  ])("refuses to sign with a key that auditors would not believe: %j", async (members, message) => {
    const folder = join(temporaryFolder(), "keys");
    await openKeyFolder(folder, NOW);
    const [jwk] = (await readPublicKeys(folder)).keys;
    writeFileSync(join(folder, "keys.json"), JSON.stringify({ keys: [{ ...jwk, ...members }] }));
    await expect(openKeyFolder(folder, NOW)).rejects.toThrow(message);
  });

  test("a public set with further keys is kept as it is", async () => {
    const folder = join(temporaryFolder(), "keys");
    await openKeyFolder(folder, NOW);
    const other = await openKeyFolder(join(temporaryFolder(), "other"), NOW);
    const keys = [
      ...(await readPublicKeys(folder)).keys,
      { ...other.signer.publicJwk, roles: ["finance"] },
    ];
    writeFileSync(join(folder, "keys.json"), JSON.stringify({ keys }));
    await openKeyFolder(folder, NOW);
    expect(await readPublicKeys(folder)).toEqual({ keys });
  });
});

describe("a new folder on purpose", () => {
  test("is refused where any of its files is there", async () => {
    for (const name of ["signing-key.pem", "salt-key", "keys.json"]) {
      const folder = temporaryFolder({ [name]: "mine" });
      await expect(makeKeyFolder(folder, NOW)).rejects.toThrow(
        `${name}: is there already; keys are never overwritten`,
      );
      expect(readdirSync(folder)).toEqual([name]);
      expect(readFileSync(join(folder, name), "utf8")).toBe("mine");
    }
  });

  test("may be a folder that is there and holds other things", async () => {
    const folder = temporaryFolder({ "notes.txt": "" });
    mkdirSync(join(folder, "more"));
    const { signer } = await makeKeyFolder(folder, NOW);
    expect((await readPublicKeys(folder)).keys.map(({ kid }) => kid)).toEqual([signer.keyId]);
  });

  test("cannot be where a file is", async () => {
    const folder = temporaryFolder({ keys: "" });
    await expect(openKeyFolder(join(folder, "keys"), NOW)).rejects.toMatchObject({
      code: "KEY_INVALID",
    });
  });
});
