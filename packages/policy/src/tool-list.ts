/** The tools of an agent as frameworks print them: what `init --from` and `learn --tools` read. */
import { JsonError, type JsonObject, parseStrictJson } from "@stepgate/core/compiler";
import type { Finding, Path } from "./finding.ts";
import { isObject } from "./json-schema-members.ts";
import { toIssues } from "./parse-policy.ts";
import { PolicyError } from "./policy-error.ts";
import { name as nameSchema, toolName } from "./schema-members.ts";
import { FORBIDDEN_KEYS } from "./source-document.ts";
import { positionIn, readDocument, type SourceDocument } from "./source-document.ts";
import { didYouMean } from "./spelling.ts";

/** A tool of an agent. */
export interface ToolDescription {
  readonly name: string;
  readonly description?: string;
  /** The JSON Schema of its arguments as it came; nobody has looked at it yet. */
  readonly parameters?: unknown;
  readonly action_type?: string;
}

/**
 * Reads a list of tools: `{ name, description, parameters, action_type }`, or as OpenAI (`{ type: "function", function }`),
 * Anthropic (`input_schema`), MCP (`inputSchema`, also under `tools`) and LangChain (`schema`) print them.
 *
 * @throws PolicyError with the place of every fault, and the fix.
 */
export function readTools(
  text: string,
  options: { readonly file?: string } = {},
): readonly ToolDescription[] {
  const source = readJsonDocument(text, options);
  const { list, root } = listOf(source.value);
  const findings: Finding[] = [];
  const report = (finding: Finding): void => void findings.push(finding);
  if (list === undefined) report({ path: [], message: `must be a list of tools; ${SHAPE}` });
  else if (list.length === 0) report({ path: root, message: `lists no tools; ${SHAPE}` });
  const tools = (list ?? []).map((item, index) => toolOf(item, [...root, index], report));
  const seen = new Set<string>();
  for (const { path, tool } of tools.filter((item) => item !== undefined)) {
    if (seen.has(tool.name))
      report({ path, message: `the tool '${tool.name}' stands twice`, hint: "leave one out" });
    seen.add(tool.name);
  }
  if (findings.length > 0) throw new PolicyError(toIssues(findings, source), options);
  return tools.flatMap((item) => item?.tool ?? []);
}

const SHAPE = "write [{ name, description, parameters: <JSON Schema>, action_type }]";

function readJsonDocument(text: string, options: { readonly file?: string }): SourceDocument {
  try {
    parseStrictJson(text);
  } catch (error) {
    if (!(error instanceof JsonError)) throw error;
    const hint = error.reason.startsWith("an integer") ? { hint: "leave such a bound out" } : {};
    const [message = ""] = error.message.split(";");
    const issue = { path: error.path, ...positionIn(text, error.offset ?? 0), message, ...hint };
    throw new PolicyError([issue], options);
  }
  const { source, findings } = readDocument(text);
  if (source === undefined || findings.length > 0)
    throw new PolicyError(toIssues(findings, source), options);
  return source;
}

function listOf(value: unknown): { readonly list?: readonly unknown[]; readonly root: Path } {
  if (Array.isArray(value)) return { list: value, root: [] };
  const tools = isObject(value) ? value["tools"] : undefined;
  return Array.isArray(tools) ? { list: tools, root: ["tools"] } : { root: [] };
}

/** Where the schema of the arguments may stand; `null` and nothing are alike. */
const SCHEMAS = ["parameters", "inputSchema", "input_schema", "schema"];

function toolOf(
  item: unknown,
  path: Path,
  report: (finding: Finding) => void,
): { readonly tool: ToolDescription; readonly path: Path } | undefined {
  if (!isObject(item)) {
    report({ path, message: `a tool must be an object; ${SHAPE}` });
    return undefined;
  }
  const inner = item["function"];
  if (isObject(inner))
    return toolOf({ action_type: item["action_type"], ...inner }, [...path, "function"], report);
  const { name, description, action_type } = item;
  if (typeof name !== "string") {
    report({ path: [...path, "name"], message: "a tool without a name", ...nameless(item) });
    return undefined;
  }
  const fault = faultOf(item, path);
  if (fault !== undefined) {
    report(fault);
    return undefined;
  }
  const key = SCHEMAS.find((candidate) => (item[candidate] ?? undefined) !== undefined);
  const tool = {
    name,
    ...(typeof description === "string" && { description }),
    ...(key !== undefined && { parameters: item[key] }),
    ...(typeof action_type === "string" && { action_type }),
  };
  return { tool, path: [...path, "name"] };
}

function nameless(item: JsonObject): { readonly hint: string } {
  const misspelt = Object.keys(item).find((key) => didYouMean(key, ["name"]) !== undefined);
  return {
    hint: misspelt === undefined ? SHAPE : `did you mean 'name' where it says '${misspelt}'?`,
  };
}

function faultOf(item: JsonObject, path: Path): Finding | undefined {
  const { name, action_type = null, parameters = null } = item;
  if (typeof name === "string" && FORBIDDEN_KEYS.has(name))
    return {
      path: [...path, "name"],
      message: `'${name}' cannot be the name of a tool`,
      hint: "rename it: no policy can have this key",
    };
  if (!toolName.safeParse(name).success)
    return {
      path: [...path, "name"],
      message: `'${String(name)}' cannot be the name of a tool`,
      hint: "rename it: 1 to 128 of A-Z a-z 0-9 . _ : / -",
    };
  if (action_type !== null && !nameSchema.safeParse(action_type).success)
    return {
      path: [...path, "action_type"],
      message: "must be the name of an action type",
      hint: "1 to 128 of A-Z a-z 0-9 . _ : -; or leave it out",
    };
  if (parameters !== null && !isObject(parameters))
    return {
      path: [...path, "parameters"],
      message: "must be a JSON Schema",
      hint: 'such as { "type": "object", "properties": {} }; or leave it out',
    };
  return undefined;
}
