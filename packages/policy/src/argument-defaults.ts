/** Defaults of arguments: a value that a schema fills in by itself need not be grounded (policy.md, grounded). */
import { canonicalize, type Json } from "@stepgate/core/compiler";
import { schemaDefaults } from "./json-schema-members.ts";
import type { NormalForm } from "./normal-form.ts";
import type { ArgumentSchema } from "./policy-document.ts";

/** The default of the argument at a dotted path of a tool or function. */
export type DefaultOf = (
  section: "functions" | "tools",
  name: string,
  path: string,
) => Json | undefined;

/**
 * The tool's default stands before the function's. A function serves several tools, and a tool several functions: where
 * their defaults differ there is none, and the argument is always checked.
 */
export function argumentDefaults(form: NormalForm, toolPairs: ReadonlySet<string>): DefaultOf {
  const callers = callersOf(form, toolPairs);
  const known = new Map<ArgumentSchema, ReadonlyMap<string, Json>>();
  const defaultsOf = (schema: ArgumentSchema): ReadonlyMap<string, Json> => {
    const defaults = known.get(schema) ?? schemaDefaults(schema);
    known.set(schema, defaults);
    return defaults;
  };
  return (section, name, path) => {
    const values = (callers.get(`${section} ${name}`) ?? []).map((schemas) =>
      schemas.map((schema) => defaultsOf(schema).get(path)).find((value) => value !== undefined),
    );
    const [first] = values;
    if (first === undefined) return undefined;
    const text = canonicalize(first);
    return values.every((value) => value !== undefined && canonicalize(value) === text)
      ? first
      : undefined;
  };
}

/** For each tool and function the schemas of every way to call it, the tool's first. */
function callersOf(
  { functions, tools = {} }: NormalForm,
  toolPairs: ReadonlySet<string>,
): ReadonlyMap<string, readonly (readonly ArgumentSchema[])[]> {
  const callers = new Map<string, (readonly ArgumentSchema[])[]>();
  const add = (key: string, schemas: readonly (ArgumentSchema | undefined)[]): void => {
    const given = schemas.filter((schema) => schema !== undefined);
    const ways = callers.get(key);
    if (ways === undefined) callers.set(key, [given]);
    else ways.push(given);
  };
  const known = new Map(Object.entries(functions));
  for (const [tool, { action, args, function: names }] of Object.entries(tools))
    for (const name of [names].flat()) {
      const fn = known.get(name);
      if (fn?.actions.includes(action) !== true) continue;
      add(`tools ${tool}`, [args, fn.args]);
      add(`functions ${name}`, [args, fn.args]);
    }
  for (const [name, { actions, args }] of known)
    if (actions.some((action) => !toolPairs.has(`${name}\n${action}`)))
      add(`functions ${name}`, [args]);
  return callers;
}
