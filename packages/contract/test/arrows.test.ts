/** The arrows that must never be (house.md), held against every package.json and every import under packages/. */
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join, relative, resolve, sep } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, describe, expect, test } from "vitest";

const ROOT = resolve(dirname(fileURLToPath(import.meta.url)), "../../..");

/** Which packages of the house each folder may reach. What stands nowhere here may reach nothing. */
const MAY_REACH: Readonly<Record<string, readonly string[]>> = {
  core: [],
  policy: ["@stepgate/core"],
  langchain: ["@stepgate/core"],
  "ai-sdk": ["@stepgate/core"],
  express: ["@stepgate/core"],
  mcp: ["@stepgate/core"],
  "store-sqlite": ["@stepgate/core"],
  "store-postgres": ["@stepgate/core"],
  "store-redis": ["@stepgate/core"],
  client: ["@stepgate/core"],
  server: [
    "@stepgate/core",
    "@stepgate/policy",
    "@stepgate/express",
    "@stepgate/store-sqlite",
    "@stepgate/store-postgres",
    "@stepgate/store-redis",
  ],
  cli: [
    "@stepgate/core",
    "@stepgate/policy",
    "@stepgate/store-sqlite",
    "@stepgate/store-postgres",
    "@stepgate/store-redis",
    "@stepgate/server",
    "@stepgate/client",
    "@stepgate/mcp",
  ],
  console: [],
};
/** Private packages that only measure and test: they may reach all, load what they are told to, and hand on the environment. */
const FREE = ["contract", "bench"];
/** The only files that may read the environment: entry files, and the one that has `policyFromEnv`. */
const READS_ENVIRONMENT = [
  "cli/src/main.ts",
  "cli/src/review-main.ts",
  "server/src/main.ts",
  "policy/src/environment.ts",
];

describe("the tree", () => {
  const house = readHouse(join(ROOT, "packages"));

  test("has no arrow that must never be", () => {
    expect(brokenArrows(house)).toEqual([]);
  });

  test("was read: every package, its files and its imports", () => {
    const seen = Object.fromEntries(house.map(({ folder, files }) => [folder, files.length]));
    for (const folder of [
      "core",
      "policy",
      "langchain",
      "ai-sdk",
      "express",
      "store-sqlite",
      "cli",
      "contract",
      "bench",
    ])
      expect([folder, seen[folder]]).toEqual([folder, expect.toSatisfy((count) => count > 1)]);
    const imports = house.flatMap(({ files }) => files.flatMap(({ text }) => importsOf(text)));
    expect(imports.length).toBeGreaterThan(200);
    expect(imports).toContain("@stepgate/core");
    expect(imports).toContain("node:crypto");
  });
});

describe("the checker finds", () => {
  const folders: string[] = [];
  afterAll(() => {
    for (const folder of folders) rmSync(folder, { recursive: true, force: true });
  });

  /** A small sound house, and one change to it. */
  function houseWith(change: Readonly<Record<string, string>>): readonly string[] {
    const folder = mkdtempSync(join(tmpdir(), "arrows-"));
    folders.push(folder);
    for (const [path, text] of Object.entries({ ...SOUND, ...change })) {
      mkdirSync(dirname(join(folder, path)), { recursive: true });
      writeFileSync(join(folder, path), text);
    }
    return brokenArrows(readHouse(folder));
  }

  test("nothing in a sound house", () => {
    expect(houseWith({})).toEqual([]);
  });

  test.each<[string, Readonly<Record<string, string>>, string]>([
    [
      "core that depends on an npm package",
      { "core/package.json": manifest("@stepgate/core", { dependencies: { canonicalize: "1" } }) },
      "core/package.json: core depends on canonicalize",
    ],
    [
      "core with a peer",
      { "core/package.json": manifest("@stepgate/core", { peerDependencies: { zod: "1" } }) },
      "core/package.json: core depends on zod",
    ],
    [
      "core with an optional dependency",
      { "core/package.json": manifest("@stepgate/core", { optionalDependencies: { zod: "1" } }) },
      "core/package.json: core depends on zod",
    ],
    [
      "core that imports an npm package, a type of it at that",
      { "core/src/a.ts": 'import type { Z } from "zod";' },
      "core/src/a.ts: core imports zod",
    ],
    [
      "core that imports a package of the house",
      { "core/src/a.ts": 'export * from "@stepgate/policy";' },
      "core/src/a.ts: core may not reach @stepgate/policy",
    ],
    [
      "core that reaches another package's files",
      { "core/src/a.ts": 'import "../../policy/src/index.ts";' },
      "core/src/a.ts: ../../policy/src/index.ts lies outside of its package's src",
    ],
    [
      "core that imports what it computes",
      { "core/src/a.ts": "const z = await import(name);" },
      "core/src/a.ts: imports what it computes",
    ],
    [
      "core that makes itself a require",
      { "core/src/a.ts": 'import { createRequire } from "node:module";' },
      "core/src/a.ts: makes itself a require",
    ],
    [
      "an import over several lines",
      { "core/src/a.ts": 'import {\n  a,\n  b,\n} from "zod";' },
      "core/src/a.ts: core imports zod",
    ],
    [
      "an import for its effect",
      { "core/src/a.ts": 'import "zod";' },
      "core/src/a.ts: core imports zod",
    ],
    [
      "an import within an expression",
      { "core/src/a.ts": 'const z = await import("zod");' },
      "core/src/a.ts: core imports zod",
    ],
    [
      "a type that imports",
      { "core/src/a.ts": 'type Z = import("zod").Z;' },
      "core/src/a.ts: core imports zod",
    ],
    [
      "a dependency under a name of its own",
      {
        "core/package.json": manifest("@stepgate/core", { imports: { "#z": { default: "zod" } } }),
      },
      "core/package.json: #z leads to zod, outside of its src",
    ],
    [
      "a name of its own that is none",
      { "core/src/a.ts": 'import { z } from "#z";' },
      "core/src/a.ts: #z is none of its package's own imports",
    ],
    [
      "an adapter that imports a store",
      { "express/src/a.ts": 'import "@stepgate/store-sqlite";' },
      "express/src/a.ts: express may not reach @stepgate/store-sqlite",
    ],
    [
      "an adapter that depends on a store",
      {
        "express/package.json": manifest("@stepgate/express", {
          dependencies: { "@stepgate/store-sqlite": "1" },
          peerDependencies: { "@stepgate/core": "1", express: "5" },
        }),
      },
      "express/package.json: express may not reach @stepgate/store-sqlite",
    ],
    [
      "an adapter that imports a policy",
      { "langchain/src/a.ts": 'import { definePolicy } from "@stepgate/policy";' },
      "langchain/src/a.ts: langchain may not reach @stepgate/policy",
    ],
    [
      "an adapter that imports an adapter",
      { "langchain/src/a.ts": 'import "@stepgate/express";' },
      "langchain/src/a.ts: langchain may not reach @stepgate/express",
    ],
    [
      "an adapter that imports a part of one",
      { "langchain/src/a.ts": 'import "@stepgate/express/guard";' },
      "langchain/src/a.ts: langchain may not reach @stepgate/express",
    ],
    [
      "an adapter that imports the binary",
      { "langchain/src/a.ts": 'import "stepgate";' },
      "langchain/src/a.ts: langchain may not reach stepgate",
    ],
    [
      "a store that imports a store",
      { "store-sqlite/src/a.ts": 'import "@stepgate/store-redis";' },
      "store-sqlite/src/a.ts: store-sqlite may not reach @stepgate/store-redis",
    ],
    [
      "a store that imports a policy",
      { "store-sqlite/src/a.ts": 'import "@stepgate/policy";' },
      "store-sqlite/src/a.ts: store-sqlite may not reach @stepgate/policy",
    ],
    [
      "a server that imports an adapter other than express",
      { "server/src/a.ts": 'import "@stepgate/langchain";' },
      "server/src/a.ts: server may not reach @stepgate/langchain",
    ],
    [
      "a client that imports the server",
      { "client/src/a.ts": 'import "@stepgate/server";' },
      "client/src/a.ts: client may not reach @stepgate/server",
    ],
    [
      "a console that imports any package of the house",
      { "console/src/a.ts": 'import "@stepgate/core";' },
      "console/src/a.ts: console may not reach @stepgate/core",
    ],
    [
      "a published package that imports `contract`",
      { "express/src/a.ts": 'import "@stepgate/contract";' },
      "express/src/a.ts: express may not reach @stepgate/contract",
    ],
    [
      "a published package that depends on `contract`",
      { "cli/package.json": manifest("stepgate", { dependencies: { "@stepgate/contract": "1" } }) },
      "cli/package.json: cli may not reach @stepgate/contract",
    ],
    [
      "a published package that calls itself free",
      {
        "bench/package.json": manifest("@stepgate/bench", {
          private: false,
          dependencies: { "@stepgate/langchain": "1", "@stepgate/express": "1" },
        }),
      },
      "bench/package.json: may reach all, so must be private",
    ],
    [
      "a package that the house does not know",
      {
        "extra/package.json": manifest("@stepgate/extra", {}),
        "extra/src/index.ts": 'import "@stepgate/core";',
      },
      "extra/src/index.ts: extra may not reach @stepgate/core",
    ],
    [
      "an import that no dependency declares",
      { "express/src/a.ts": 'import helmet from "helmet";' },
      "express/src/a.ts: helmet is no dependency of express",
    ],
    [
      "an import of what is only there for tests",
      { "express/src/a.ts": 'import "supertest";' },
      "express/src/a.ts: supertest is no dependency of express",
    ],
    [
      "a file that reads the environment",
      { "core/src/a.ts": 'export const a = process.env["A"];' },
      "core/src/a.ts: reads the environment",
    ],
    [
      "the environment by another spelling",
      { "cli/src/other.ts": 'export const a = globalThis.process?.["env"];' },
      "cli/src/other.ts: reads the environment",
    ],
    [
      "the environment by import",
      { "cli/src/other.ts": 'import { argv, env } from "node:process";' },
      "cli/src/other.ts: reads the environment",
    ],
    [
      "a default export",
      { "policy/src/a.ts": "export default function policy() {}" },
      "policy/src/a.ts: exports a default",
    ],
    [
      "a default export by name",
      { "policy/src/a.ts": "export { policy as default };" },
      "policy/src/a.ts: exports a default",
    ],
    [
      "a fault between texts that look like comments",
      { "policy/src/a.ts": 'export const a = "*/*";\nexport default a;\nexport const b = "*/*";' },
      "policy/src/a.ts: exports a default",
    ],
    [
      "a fault in a folder below",
      { "cli/src/commands/a.ts": "export default 1;" },
      "cli/src/commands/a.ts: exports a default",
    ],
  ])("%s", (_name, change, broken) => {
    expect(houseWith(change)).toEqual([broken]);
  });

  test("and lets stand what may be: examples in comments, the entry file's environment, devDependencies", () => {
    expect(
      houseWith({
        "core/src/a.ts":
          '/**\n * @example\n * import { z } from "zod";\n * process.env\n */\n// import "zod"; export default 1; process.env\nexport const a = 1;\n',
        "cli/src/main.ts": "export const a = process.env;",
        "core/package.json": manifest("@stepgate/core", {
          imports: { "#platform": { node: "./src/a.ts", default: "./src/index.ts" } },
          devDependencies: { "@stepgate/contract": "1", canonicalize: "1" },
        }),
        "core/src/b.ts": 'import { a } from "#platform";\nexport const b = a;\n',
      }),
    ).toEqual([]);
  });
});

/** One package as it lies on disk. */
interface House {
  readonly folder: string;
  readonly manifest: Readonly<Record<string, unknown>>;
  readonly files: readonly { readonly path: string; readonly text: string }[];
}

/** Every folder of `packages` that has a package.json, with its sources. */
function readHouse(packages: string): readonly House[] {
  return readdirSync(packages)
    .filter((folder) => existsSync(join(packages, folder, "package.json")))
    .map((folder) => ({
      folder,
      manifest: JSON.parse(
        readFileSync(join(packages, folder, "package.json"), "utf8"),
      ) as House["manifest"],
      files: sourcesOf(join(packages, folder, "src")).map((file) => ({
        path: relative(packages, file).split(sep).join("/"),
        text: readFileSync(file, "utf8"),
      })),
    }));
}

function sourcesOf(folder: string): readonly string[] {
  if (!existsSync(folder)) return [];
  return readdirSync(folder)
    .map((name) => join(folder, name))
    .flatMap((path) =>
      statSync(path).isDirectory()
        ? sourcesOf(path)
        : /\.(ts|tsx|mts|js|mjs)$/.test(path)
          ? [path]
          : [],
    );
}

/** Every arrow that must not be, and what else the house forbids in a source; each as `file: what`. */
function brokenArrows(house: readonly House[]): readonly string[] {
  return house.flatMap((one) => [
    ...brokenManifest(one),
    ...one.files.flatMap((file) => brokenSource(one, file)),
  ]);
}

function brokenManifest({ folder, manifest: own }: House): readonly string[] {
  const broken = dependenciesOf(own).flatMap((name) => brokenReach(folder, name, "depends on"));
  if (FREE.includes(folder) && own["private"] !== true)
    broken.push("may reach all, so must be private");
  for (const [specifier, conditions] of Object.entries(ownImports(own)))
    for (const target of Object.values(conditions))
      if (!target.startsWith("./src/"))
        broken.push(`${specifier} leads to ${target}, outside of its src`);
  return broken.map((what) => `${folder}/package.json: ${what}`);
}

function brokenSource(
  { folder, manifest: own }: House,
  { path, text: source }: House["files"][number],
): readonly string[] {
  const text = withoutComments(source);
  const src = `${folder}/src/`;
  const broken = importsOf(text).flatMap((specifier) => {
    if (specifier.startsWith("node:")) return [];
    if (specifier.startsWith("."))
      return join(dirname(path), specifier).split(sep).join("/").startsWith(src)
        ? []
        : [`${specifier} lies outside of its package's src`];
    if (specifier.startsWith("#"))
      return Object.hasOwn(ownImports(own), specifier)
        ? []
        : [`${specifier} is none of its package's own imports`];
    const name = packageOf(specifier);
    const reach = brokenReach(folder, name, "imports");
    if (reach.length > 0) return reach;
    return dependenciesOf(own).includes(name) || own["name"] === name
      ? []
      : [`${name} is no dependency of ${folder}`];
  });
  const free = FREE.includes(folder);
  if (!free && /\bimport\s*\(\s*(?!["'])/.test(text)) broken.push("imports what it computes");
  if (/\bcreateRequire\b/.test(text)) broken.push("makes itself a require");
  if (/^\s*export\s+default\b/m.test(text) || /\bas\s+default\b/.test(text))
    broken.push("exports a default");
  const readsEnvironment =
    /\bprocess\s*(\?\.)?\s*(\.\s*env\b|\[\s*["'`]env|env\b)/.test(text) ||
    /import\s*\{[^}]*\benv\b[^}]*\}\s*from\s*["'](node:)?process["']/.test(text);
  if (!free && readsEnvironment && !READS_ENVIRONMENT.includes(path))
    broken.push("reads the environment");
  return broken.map((what) => `${path}: ${what}`);
}

function brokenReach(folder: string, name: string, how: string): string[] {
  if (FREE.includes(folder)) return [];
  if (isOfTheHouse(name))
    return (MAY_REACH[folder] ?? []).includes(name) ? [] : [`${folder} may not reach ${name}`];
  return folder === "core" ? [`core ${how} ${name}`] : [];
}

function isOfTheHouse(name: string): boolean {
  return name === "stepgate" || name.startsWith("@stepgate/");
}

/** What a package imports under a name of its own, by condition: its own files and nothing else. */
function ownImports(manifest: House["manifest"]): Readonly<Record<string, Record<string, string>>> {
  return (manifest["imports"] as Record<string, Record<string, string>> | undefined) ?? {};
}

/** What is there when the package runs. */
function dependenciesOf(manifest: House["manifest"]): readonly string[] {
  return ["dependencies", "peerDependencies", "optionalDependencies"].flatMap((member) =>
    Object.keys((manifest[member] as object | undefined) ?? {}),
  );
}

function packageOf(specifier: string): string {
  return specifier
    .split("/")
    .slice(0, specifier.startsWith("@") ? 2 : 1)
    .join("/");
}

/** The specifiers of all imports and re-exports, of types too. */
function importsOf(text: string): string[] {
  const statements = /^\s*(?:import|export)\s(?:[^;"'`]*?\sfrom\s*)?["']([^"']+)["']/gm;
  const expressions = /\bimport\s*\(\s*["']([^"']+)["']/g;
  return [statements, expressions].flatMap((form) =>
    [...text.matchAll(form)].map(([, specifier]) => specifier ?? ""),
  );
}

/** Comments quote what sources must not do. Texts are passed over, so that a `/*` within one hides nothing. */
function withoutComments(text: string): string {
  const textOrComment =
    /"(?:[^"\\\n]|\\.)*"|'(?:[^'\\\n]|\\.)*'|`(?:[^`\\]|\\.)*`|\/\*[\s\S]*?\*\/|(?<=^|[\s;{}(,])\/\/.*$/gm;
  return text.replaceAll(textOrComment, (found) => (found.startsWith("/") ? "" : found));
}

function manifest(name: string, members: object): string {
  return JSON.stringify({
    name,
    private: name === "@stepgate/bench" || name === "@stepgate/contract",
    ...members,
  });
}

const SOUND: Readonly<Record<string, string>> = {
  "core/package.json": manifest("@stepgate/core", {}),
  "core/src/index.ts":
    'import { hash } from "node:crypto";\nexport { a } from "./a.ts";\nexport const digest = hash;\n',
  "core/src/a.ts": "export const a = 1;\n",
  "policy/package.json": manifest("@stepgate/policy", { dependencies: { "@stepgate/core": "1" } }),
  "policy/src/index.ts": 'import type { Gate } from "@stepgate/core";\nexport type G = Gate;\n',
  "policy/src/environment.ts": "export const policyFromEnv = (env = process.env) => env;\n",
  "express/package.json": manifest("@stepgate/express", {
    peerDependencies: { "@stepgate/core": "1", express: "5" },
    devDependencies: { supertest: "1", "@stepgate/contract": "1" },
  }),
  "express/src/index.ts":
    'import { enforce } from "@stepgate/core";\nimport type { Request } from "express";\nexport { enforce };\nexport type R = Request;\n',
  "langchain/package.json": manifest("@stepgate/langchain", {
    peerDependencies: { "@stepgate/core": "1" },
  }),
  "store-sqlite/package.json": manifest("@stepgate/store-sqlite", {}),
  "server/package.json": manifest("@stepgate/server", {
    dependencies: { "@stepgate/express": "1" },
  }),
  "client/package.json": manifest("@stepgate/client", {}),
  "console/package.json": manifest("@stepgate/console", {}),
  "cli/package.json": manifest("stepgate", {
    dependencies: { "@stepgate/core": "1", "@stepgate/policy": "1", "@stepgate/store-sqlite": "1" },
  }),
  "bench/package.json": manifest("@stepgate/bench", {
    dependencies: { "@stepgate/langchain": "1", "@stepgate/express": "1" },
  }),
  "bench/src/index.ts": 'import "@stepgate/langchain";\nimport "@stepgate/express";\n',
};
