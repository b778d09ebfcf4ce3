/** What conditions say that loads and hardly means it: arithmetic that cannot work, paths that lead nowhere, arguments left unchecked. */
import { celLint } from "./cel-lint.ts";
import { argumentNames } from "./compile-conditions.ts";
import type { Lint, Path } from "./finding.ts";
import {
  type JsonSchemaNode,
  memberNames,
  memberSchema,
  rootSchema,
} from "./json-schema-members.ts";
import type { ArgumentSchema, ConditionEntries, PolicyDocument } from "./policy-document.ts";
import { didYouMean } from "./spelling.ts";

/** Looks at the conditions of every function and tool of a document that compiles. */
export function* conditionLints(document: PolicyDocument): Generator<Lint> {
  for (const place of placesOf(document)) {
    yield* arithmeticLints(place);
    yield* pathLints(place);
    yield* ungroundedLints(place);
  }
}

/** A tool or function with what else applies to its calls. */
interface Place {
  readonly path: Path;
  readonly own: ConditionEntries;
  /** Of a tool its functions, of a function its tools. */
  readonly others: readonly ConditionEntries[];
}

function placesOf({ functions, tools = {} }: PolicyDocument): readonly Place[] {
  const ofFunctions = new Map(
    Object.entries(functions).map(([name, entry]) => [
      name,
      { own: "actions" in entry ? entry : {}, others: new Array<ConditionEntries>() },
    ]),
  );
  const ofTools = Object.entries(tools).map(([name, own]): Place => {
    const standing = [own.function].flat().flatMap((fn) => ofFunctions.get(fn) ?? []);
    for (const { others } of standing) others.push(own);
    return { path: ["tools", name], own, others: standing.map((fn) => fn.own) };
  });
  return [
    ...[...ofFunctions].map(([name, place]) => ({ path: ["functions", name], ...place })),
    ...ofTools,
  ];
}

function* arithmeticLints({ own: { approval, when }, path }: Place): Generator<Lint> {
  for (const [text, at] of [
    [when, [...path, "when"]],
    [approval?.when, [...path, "approval", "when"]],
  ] as const) {
    if (text === undefined) continue;
    for (const { hint, message, offset } of celLint(text))
      yield {
        code: "cel-arithmetic",
        path: at,
        offset,
        message,
        ...(hint !== undefined && { hint }),
      };
  }
}

/** A path that no schema has: `grounded` would check nothing there, `bind` and `sum` would refuse every call. */
function* pathLints(place: Place): Generator<Lint> {
  const schemas = [place.own, ...place.others]
    .map(({ args }) => args)
    .filter((schema) => schema !== undefined);
  if (schemas.length === 0) return;
  for (const [path, names, on] of pathsOf(place)) {
    const found = schemas.map((schema) => missingName(schema, names));
    const missing = found.find((one) => one !== undefined);
    if (missing === undefined || found.includes(undefined)) continue;
    const message = `no schema has an argument '${names.join(".")}'`;
    const hint = didYouMean(missing.name, missing.known);
    yield { code: "unknown-argument", path, message, ...on, ...hint };
  }
}

type ArgumentPath = readonly [Path, names: readonly string[], on?: { readonly on: "key" }];

function pathsOf({ own: { bind, grounded, limits, ungrounded }, path }: Place): ArgumentPath[] {
  return [
    ...Object.keys(grounded ?? {}).map((key): ArgumentPath => [
      [...path, "grounded", key],
      key.split("."),
      { on: "key" },
    ]),
    ...(ungrounded ?? []).map((key, index): ArgumentPath => [
      [...path, "ungrounded", index],
      key.split("."),
    ]),
    ...Object.entries(bind ?? {}).map(([name, of]): ArgumentPath => [
      [...path, "bind", name],
      argumentNames(of),
    ]),
    ...(limits?.sum === undefined
      ? []
      : [[[...path, "limits", "sum", "of"], argumentNames(limits.sum.of)] as const]),
  ];
}

/** The first name of a path that the schema does not have, and those that it has there; nothing where it leaves it open. */
function missingName(
  schema: ArgumentSchema,
  names: readonly string[],
): { readonly name: string; readonly known: readonly string[] } | undefined {
  let node: JsonSchemaNode | undefined = rootSchema(schema);
  for (const name of names) {
    const known = memberNames(node);
    if (known === undefined) return undefined;
    if (!known.includes(name)) return { name, known };
    node = child(node, name);
  }
  return undefined;
}

/** Arguments of the schema that are in neither list, once one is `grounded`. */
function* ungroundedLints({ others, own, path }: Place): Generator<Lint> {
  const entries = [own, ...others];
  if (own.args === undefined || !entries.some(usesGrounded)) return;
  const listed = new Set(
    entries.flatMap(({ grounded, ungrounded }) => [
      ...Object.keys(grounded ?? {}),
      ...(ungrounded ?? []),
    ]),
  );
  const above = new Set([...listed].flatMap(prefixesOf));
  yield* unlisted(rootSchema(own.args), [], { listed, above, path: [...path, "args"] });
}

function usesGrounded({ grounded }: ConditionEntries): boolean {
  return Object.keys(grounded ?? {}).length > 0;
}

function prefixesOf(path: string): readonly string[] {
  const names = path.split(".");
  return names.slice(1).map((_, index) => names.slice(0, index + 1).join("."));
}

interface Listing {
  readonly listed: ReadonlySet<string>;
  /** What lies above a path that is listed. */
  readonly above: ReadonlySet<string>;
  readonly path: Path;
}

function* unlisted(
  node: JsonSchemaNode | undefined,
  names: readonly string[],
  listing: Listing,
): Generator<Lint> {
  for (const name of memberNames(node) ?? []) {
    const here = [...names, name];
    const text = here.join(".");
    if (listing.listed.has(text)) continue;
    const path = [...listing.path, ...here.flatMap((part) => ["properties", part])];
    if (listing.above.has(text)) {
      yield* unlisted(child(node, name), here, listing);
      continue;
    }
    const message = `argument '${text}' is in neither grounded nor ungrounded`;
    yield { code: "ungrounded-argument", path, on: "key", message };
  }
}

function child(node: JsonSchemaNode | undefined, name: string): JsonSchemaNode | undefined {
  const member = memberSchema(node, name);
  return member !== undefined && "schema" in member ? member.schema : undefined;
}
