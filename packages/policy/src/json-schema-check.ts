/** The faults of a JSON Schema that can be told without compiling it, all of them, each with its way out. */
import type { Json, JsonObject } from "@stepgate/core/compiler";
import type { Finding, Path } from "./finding.ts";
import { DRAFT, type Keyword, KEYWORDS, REFUSED, TYPES } from "./json-schema-keywords.ts";
import { isArray, isObject, ownMember, pointerParts } from "./json-schema-members.ts";
import { createPatternSet, type LinearPattern, type PatternSet } from "./linear-pattern.ts";
import { FORBIDDEN_KEYS } from "./source-document.ts";
import { didYouMean } from "./spelling.ts";
import type { WorkMeter } from "./work-meter.ts";

/** Schemas within a schema. Each takes the compiler some 100 µs. */
const MAX_SCHEMAS = 500;
const MAX_FINDINGS = 100;

/** Looks at every schema in a schema. A schema without findings may still be refused by the compiler. */
export function schemaFaults(root: Json): readonly Finding[] {
  const patterns = createPatternSet("ecmascript");
  const walk: Walk = {
    findings: [],
    places: new Map(),
    edges: new Map(),
    references: [],
    patterns,
  };
  visit({ schema: root, path: [], types: [], above: undefined }, walk);
  if (walk.places.size > MAX_SCHEMAS)
    return [{ path: [], message: `there are more than ${MAX_SCHEMAS} schemas in it` }];
  checkReferences(walk);
  return walk.findings.slice(0, MAX_FINDINGS);
}

/** Types that keywords of several types speak of have to be one of these; `[]`: not known. */
type Types = readonly string[];

interface Visit {
  readonly schema: Json;
  readonly path: Path;
  /** What the schemas around it, for the same value, have said about its type. */
  readonly types: Types;
  /** The pointer of the schema around it, if that speaks of the same value. */
  readonly above: string | undefined;
}

interface Walk {
  readonly findings: Finding[];
  /** Each schema by its pointer. */
  readonly places: Map<string, Path>;
  /** From a schema to those that are tried on the same value. */
  readonly edges: Map<string, string[]>;
  readonly patterns: PatternSet;
  readonly references: { readonly from: string; readonly path: Path; readonly target: string }[];
}

function visit(entry: Visit, walk: Walk): void {
  const { above, path, schema } = entry;
  const pointer = pointerOf(path);
  walk.places.set(pointer, path);
  if (above !== undefined) addEdge(above, pointer, walk);
  if (typeof schema === "boolean" || walk.places.size > MAX_SCHEMAS) return;
  if (!isObject(schema))
    walk.findings.push({ path, message: "a schema is an object, true or false" });
  else visitObject(schema, entry, walk);
}

function visitObject(schema: JsonObject, { path, types: around }: Visit, walk: Walk): void {
  const types = typesOf(schema) ?? around;
  for (const [name, value] of Object.entries(schema)) {
    const here = [...path, name];
    const keyword = KEYWORDS.get(name);
    if (keyword === undefined)
      walk.findings.push({ path: here, on: "key", ...unknownKeyword(name) });
    else {
      const faults = [...valueFaults({ name, value, path: here, schema }, walk.patterns)];
      walk.findings.push(...faults);
      if (faults.length === 0 && keyword.type !== undefined && !applies(keyword.type, types))
        walk.findings.push(missingType(name, keyword.type, types, here));
      if (name === "$ref" && typeof value === "string")
        walk.references.push({ from: pointerOf(path), path: here, target: value });
      for (const child of childSchemas(keyword, value))
        visitChild(keyword, { ...child, path: [...here, ...child.path] }, { path, types }, walk);
    }
  }
}

function visitChild(
  keyword: Keyword,
  child: { readonly schema: Json; readonly path: Path },
  around: { readonly path: Path; readonly types: Types },
  walk: Walk,
): void {
  if (walk.places.size > MAX_SCHEMAS) return;
  const above = keyword.same === true ? pointerOf(around.path) : undefined;
  visit({ ...child, types: keyword.same === true ? around.types : [], above }, walk);
}

function addEdge(from: string, to: string, { edges }: Walk): void {
  const targets = edges.get(from);
  if (targets === undefined) edges.set(from, [to]);
  else targets.push(to);
}

/** The schemas that a keyword holds. */
export function childSchemas(
  { shape }: Keyword,
  value: Json,
): readonly { readonly schema: Json; readonly path: Path }[] {
  if (shape === "schema") return isArray(value) ? [] : [{ schema: value, path: [] }];
  if (shape === "schemas" && isArray(value))
    return value.map((schema, index) => ({ schema, path: [index] }));
  if ((shape === "map" || shape === "dependencies") && isObject(value))
    return Object.entries(value)
      .filter(([, schema]) => shape === "map" || !isArray(schema))
      .map(([name, schema]) => ({ schema, path: [name] }));
  return [];
}

/** The types that a schema allows, where it says so. */
export function typesOf(schema: JsonObject): Types | undefined {
  const type = ownMember(schema, "type");
  if (typeof type === "string") return [type];
  return isArray(type) ? type.filter((name) => typeof name === "string") : undefined;
}

/** True where a keyword for values of `type` has something to say about values of `types`. */
export function applies(type: string, types: Types): boolean {
  return types.includes(type) || (type === "number" && types.includes("integer"));
}

/** RFC 6901. */
export function pointerOf(path: Path): string {
  return path
    .map((part) => `/${String(part).replaceAll("~", "~0").replaceAll("/", "~1")}`)
    .join("");
}

function unknownKeyword(name: string): { readonly message: string; readonly hint?: string } {
  return (
    REFUSED.get(name) ?? {
      message: `'${name}' is no keyword of JSON Schema`,
      ...didYouMean(name, KEYWORDS.keys()),
    }
  );
}

function missingType(name: string, type: string, types: Types, path: Path): Finding {
  if (types.length > 0) {
    const message = `'${name}' says nothing about type: ${types.join(", ")}`;
    return { path, message, hint: `remove it, or write type: ${type}`, on: "key" };
  }
  const message = `'${name}' needs a type beside it`;
  return { path, message, hint: `write type: ${type} in the same schema`, on: "key" };
}

/** A keyword of a schema, its value, and where it stands. */
interface Member {
  readonly name: string;
  readonly value: Json;
  readonly path: Path;
  readonly schema: JsonObject;
}

/** What the meta-schema would say of a keyword's value in other words, or not at all. */
function* valueFaults(member: Member, patterns: PatternSet): Generator<Finding> {
  const check = CHECKS.get(member.name);
  if (check !== undefined) yield* check(member, patterns);
  yield* companionFaults(member);
}

const CHECKS: ReadonlyMap<string, (member: Member, patterns: PatternSet) => Generator<Finding>> =
  new Map([
    ["$schema", draftFaults],
    ["enum", enumFaults],
    ["exclusiveMaximum", boundFaults],
    ["exclusiveMinimum", boundFaults],
    ["items", tupleFaults],
    ["nullable", nullFaults],
    ["pattern", patternFaults],
    ["patternProperties", patternKeyFaults],
    ["properties", nameFaults],
    ["required", requiredFaults],
    ["type", typeFaults],
  ]);

function* draftFaults({ path, value }: Member): Generator<Finding> {
  if (typeof value === "string" && value.replace(/#$/, "") === DRAFT) return;
  const message = "only JSON Schema 2020-12 is read here";
  yield { path, message, hint: `remove $schema, or write ${DRAFT}` };
}

function* enumFaults({ path, value }: Member): Generator<Finding> {
  if (!isArray(value) || value.length > 0) return;
  yield { path, message: "'enum' lists no value: nothing would fit", hint: "remove it" };
}

function* boundFaults({ name, path, value }: Member): Generator<Finding> {
  if (typeof value !== "boolean") return;
  const bound = name === "exclusiveMinimum" ? "minimum" : "maximum";
  const hint = `write ${name}: n in place of ${bound}: n`;
  yield { path, message: `'${name}' is a number since draft 6`, hint };
}

function* tupleFaults({ path, value }: Member): Generator<Finding> {
  if (!isArray(value)) return;
  const message = "'items' is one schema; a list of them is 'prefixItems'";
  yield { path, message, hint: "write prefixItems with minItems, and items: false" };
}

function* nullFaults({ path, schema, value }: Member): Generator<Finding> {
  if (value !== false || typesOf(schema)?.includes("null") !== true) return;
  yield { path, message: "'nullable: false' contradicts the type null", hint: "remove it" };
}

function* requiredFaults(member: Member): Generator<Finding> {
  const { path, value } = member;
  if (typeof value === "boolean") {
    const hint = "list the name in required of the object around it";
    yield { path, message: "'required' is a list of names", hint };
  } else yield* nameFaults(member);
}

function* typeFaults({ path, value }: Member): Generator<Finding> {
  const names: readonly Json[] = isArray(value) ? value : [value];
  for (const name of names) {
    if (typeof name !== "string" || TYPES.includes(name)) continue;
    const near = didYouMean(name, TYPES);
    yield { path, message: `there is no type '${name}'`, ...(near ?? { hint: TYPES.join(", ") }) };
  }
  const others = names.filter((name) => name !== "null");
  if (others.length < 2) return;
  const hint = `write anyOf: [${others.map((name) => `{ type: ${String(name)} }`).join(", ")}]`;
  yield { path, message: "of several types only null may be listed beside one", hint };
}

function* patternFaults({ path, value }: Member, patterns: PatternSet): Generator<Finding> {
  if (typeof value !== "string") return;
  const pattern = patterns.compile(value);
  if ("fault" in pattern) yield { path, ...pattern.fault };
}

/** Work of comparing names with patterns, for one schema. */
const MATCHING_WORK = 200_000;

function* patternKeyFaults(member: Member, patterns: PatternSet): Generator<Finding> {
  const { path, schema, value } = member;
  const properties = ownMember(schema, "properties");
  const names = isObject(properties) ? Object.keys(properties) : [];
  const meter = { left: MATCHING_WORK };
  for (const source of isObject(value) ? Object.keys(value) : []) {
    const pattern = patterns.compile(source);
    const here = [...path, source];
    if ("fault" in pattern) yield { path: here, ...pattern.fault };
    else {
      const double = firstMatch(pattern, names, meter);
      if (double === undefined) continue;
      const message = `the pattern also matches '${double}' of properties`;
      yield { path: here, message, hint: "describe each name once" };
    }
  }
}

function firstMatch(
  pattern: LinearPattern,
  names: readonly string[],
  meter: WorkMeter,
): string | undefined {
  try {
    return names.find((name) => pattern.test(name, meter));
  } catch {
    return "…";
  }
}

/** The names of `properties`, and those that `required` lists. */
function* nameFaults({ path, value }: Member): Generator<Finding> {
  const names: readonly (readonly [Json, string | number])[] = isArray(value)
    ? value.map((name, index) => [name, index])
    : isObject(value)
      ? Object.keys(value).map((name) => [name, name])
      : [];
  for (const [name, at] of names) {
    if (typeof name !== "string" || !FORBIDDEN_KEYS.has(name)) continue;
    yield { path: [...path, at], message: `'${name}' is refused as the name of an argument` };
  }
}

const COMPANIONS: ReadonlyMap<string, readonly string[]> = new Map([
  ["if", ["then", "else"]],
  ["then", ["if"]],
  ["else", ["if"]],
  ["minContains", ["contains"]],
  ["maxContains", ["contains"]],
  ["nullable", ["type"]],
]);

function* companionFaults({ name, path, schema }: Member): Generator<Finding> {
  const companions = COMPANIONS.get(name);
  if (companions === undefined || companions.some((other) => Object.hasOwn(schema, other))) return;
  const message = `'${name}' says nothing without '${companions.join("' or '")}'`;
  yield { path, message, hint: "remove it", on: "key" };
}

/** Each reference leads to a schema, and none back to where it came from on the same value. */
function checkReferences(walk: Walk): void {
  const { edges, findings, places, references } = walk;
  for (const { from, path, target } of references) {
    const parts =
      target === "#" ? [] : target.startsWith("#/") ? pointerParts(target.slice(1)) : undefined;
    const pointer = parts === undefined ? undefined : pointerOf(parts);
    if (pointer !== undefined && places.has(pointer)) addEdge(from, pointer, walk);
    else findings.push({ path, ...unresolved(target, [...places.keys()]) });
  }
  const cycle = findCycle(edges);
  if (cycle === undefined) return;
  // A ring is closed by a reference: schemas in schemas alone form a tree.
  const closing = references.find(({ from }) => cycle.has(from));
  const message = "the schema refers to itself without going into the value";
  findings.push({
    path: closing?.path ?? [],
    message,
    hint: "refer to it from properties or items",
  });
}

function unresolved(
  target: string,
  pointers: readonly string[],
): { readonly message: string; readonly hint?: string } {
  if (!target.startsWith("#")) {
    const message = "'$ref' leads out of the schema, and nothing is fetched";
    return { message, hint: 'copy it to $defs and write $ref: "#/$defs/name"' };
  }
  const known = pointers.map((pointer) => `#${pointer}`);
  const message = `'${target.slice(0, 100)}' leads to no schema`;
  return {
    message,
    ...(didYouMean(target, known) ?? { hint: "write #/$defs/ and a name of $defs" }),
  };
}

/** Schemas of which each leads to the next and the last to the first, by a depth-first search. */
function findCycle(edges: ReadonlyMap<string, readonly string[]>): ReadonlySet<string> | undefined {
  const done = new Set<string>();
  const open = new Set<string>();
  const search = (at: string): ReadonlySet<string> | undefined => {
    if (done.has(at)) return undefined;
    if (open.has(at)) return new Set([...open].slice([...open].indexOf(at)));
    open.add(at);
    for (const next of edges.get(at) ?? []) {
      const found = search(next);
      if (found !== undefined) return found;
    }
    open.delete(at);
    done.add(at);
    return undefined;
  };
  for (const start of edges.keys()) {
    const found = search(start);
    if (found !== undefined) return found;
  }
  return undefined;
}
