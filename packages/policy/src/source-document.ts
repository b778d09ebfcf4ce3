/** YAML or JSON text to a plain value, with the line and column of every member; what two parsers could read differently is refused. */
import {
  Composer,
  type CST,
  isAlias,
  isCollection,
  isMap,
  isScalar,
  isSeq,
  LineCounter,
  type ParsedNode,
  Parser,
  Scalar,
  type YAMLMap,
  type YAMLSeq,
} from "yaml";
import { type Finding, type Path } from "./finding.ts";

/** A place in a text; both count from 1, columns in UTF-16 units. */
export interface Position {
  readonly line: number;
  readonly column: number;
}

/** A value, and where its parts stand in the text. */
export interface SourceDocument {
  readonly value: unknown;
  /** The parse tree: maps, lists and scalars, their keys strings. */
  readonly root: ParsedNode;
  /** Where a finding points; the nearest member above where the path leads nowhere. */
  locate(finding: Finding): Position;
}

/** Names that lead a careless program to an object's prototype; refused as keys before anything else sees them. */
export const FORBIDDEN_KEYS: ReadonlySet<string> = new Set([
  "__proto__",
  "prototype",
  "constructor",
]);
/** UTF-16 units of a policy's text: far above any policy, and small enough to read in a moment. */
export const MAX_TEXT = 1_048_576;

/** What is wrong with how a number is written at this place; nothing where any spelling of it will do. */
export type SpellingCheck = (path: Path, written: string) => string | undefined;

/** Reads one document. The value leaves out what was refused; without a value the text could not be read at all. */
export function readDocument(
  text: string,
  spellingFault: SpellingCheck = () => undefined,
): {
  readonly source?: SourceDocument;
  readonly findings: readonly Finding[];
  /** Members whose value is not what the text says, since part of it was refused. */
  readonly unreadable: readonly Path[];
} {
  if (text.length > MAX_TEXT)
    return {
      findings: [{ path: [], message: `longer than ${MAX_TEXT} characters` }],
      unreadable: [],
    };
  const lines = new LineCounter();
  const reading: Reading = { text, lines, spellingFault, findings: [], unreadable: [] };
  const node = compose(reading);
  if (node === undefined) return { findings: reading.findings, unreadable: [] };
  const value = readNode(node, [], reading);
  return {
    source: { value, root: node, locate: (finding) => locate(finding, node, reading) },
    findings: reading.findings,
    unreadable: reading.unreadable,
  };
}

interface Reading {
  readonly text: string;
  readonly lines: LineCounter;
  readonly spellingFault: SpellingCheck;
  readonly findings: Finding[];
  readonly unreadable: Path[];
}

/** The document's root, if the text is well-formed YAML 1.2 of one document with nothing in it but maps, lists and scalars. */
function compose(reading: Reading): ParsedNode | undefined {
  const parser = new Parser(reading.lines.addNewLine);
  // Duplicate keys are looked for below: the library compares each with each.
  const composer = new Composer({
    version: "1.2",
    schema: "core",
    merge: false,
    resolveKnownTags: false,
    strict: true,
    uniqueKeys: false,
  });
  const documents = [
    ...composer.compose(
      refuseProperties(parser.parse(reading.text), reading),
      true,
      reading.text.length,
    ),
  ];
  // Of a broken document the first error is the cause; the parser's others are mostly echoes of it.
  const [broken] = documents.flatMap((document) => [...document.errors, ...document.warnings]);
  if (broken !== undefined && !isRefused(broken.pos[0], reading))
    refuse(reading, [], broken.pos[0], reasonOf(broken));
  const [document, second] = documents;
  if (second !== undefined)
    refuse(reading, [], second.range[0], "a file holds one document; here a second one begins");
  if (document === undefined || broken !== undefined) return undefined;
  if (document.contents === null || isEmpty(document.contents))
    refuse(reading, [], 0, "the document is empty");
  else return document.contents;
  return undefined;
}

function reasonOf({ code, message }: { readonly code: string; readonly message: string }): string {
  return code === "RESOURCE_EXHAUSTION" ? "nested too deeply" : message;
}

/** A tag or directive that the parser does not know was refused already, as all of them are. */
function isRefused(offset: number, reading: Reading): boolean {
  const { line, column } = positionAt(offset, reading);
  return reading.findings.some(
    ({ position }) => position?.line === line && position.column === column,
  );
}

function isEmpty(node: ParsedNode): boolean {
  return isScalar(node) && node.value === null;
}

const REFUSED_TOKENS: ReadonlyMap<string, string> = new Map([
  ["directive", "directives such as %YAML are not allowed"],
  ["anchor", "anchors are not allowed"],
  ["alias", "aliases are not allowed; write the value out"],
  ["tag", "tags are not allowed"],
]);

/** Looks at every token of the source, so that no property of a node can hide behind how the parser composes it. */
function* refuseProperties(tokens: Iterable<CST.Token>, reading: Reading): Generator<CST.Token> {
  for (const token of tokens) {
    const stack: object[] = [token];
    for (let item = stack.pop(); item !== undefined; item = stack.pop()) {
      refuseProperty(item, reading);
      for (const name in item) {
        const member: unknown = item[name as keyof typeof item];
        if (typeof member === "object" && member !== null) stack.push(member);
      }
    }
    yield token;
  }
}

function refuseProperty(token: object, reading: Reading): void {
  if (
    !(
      "type" in token &&
      "offset" in token &&
      typeof token.type === "string" &&
      typeof token.offset === "number"
    )
  )
    return;
  const message = REFUSED_TOKENS.get(token.type);
  if (message !== undefined) refuse(reading, [], token.offset, message);
}

function readNode(node: ParsedNode | null, path: Path, reading: Reading): unknown {
  if (node !== null && (isAlias(node) || node.tag !== undefined)) reading.unreadable.push(path);
  if (isMap(node)) return readMap(node, path, reading);
  if (isSeq(node))
    return (node as YAMLSeq<ParsedNode>).items.map((item, index) =>
      readNode(item, [...path, index], reading),
    );
  return isScalar(node) ? readScalar(node, path, reading) : null;
}

function readMap(node: YAMLMap, path: Path, reading: Reading): Readonly<Record<string, unknown>> {
  const value: Record<string, unknown> = {};
  for (const { key, value: member } of node.items as {
    key: ParsedNode;
    value: ParsedNode | null;
  }[]) {
    const name = readKey(key, path, reading);
    if (name === undefined) continue;
    if (Object.hasOwn(value, name))
      refuse(reading, [...path, name], start(key), `'${name}' stands twice`);
    else value[name] = readNode(member, [...path, name], reading);
  }
  return value;
}

function readKey(key: ParsedNode, path: Path, reading: Reading): string | undefined {
  const name = isScalar(key) ? key.value : undefined;
  if (typeof name !== "string") {
    const written = reading.text.slice(start(key), isCollection(key) ? start(key) : key.range[1]);
    refuse(
      reading,
      path,
      start(key),
      "keys must be strings",
      written === "" ? undefined : `write "${written}" in quotes`,
    );
  } else if (name === "<<" || FORBIDDEN_KEYS.has(name)) {
    refuse(
      reading,
      path,
      start(key),
      name === "<<" ? "merge keys (<<) are not allowed" : `'${name}' is not allowed as a key`,
    );
  } else if (!name.isWellFormed())
    refuse(reading, path, start(key), "a lone surrogate is not text");
  else return name;
  return undefined;
}

function readScalar(node: Scalar.Parsed, path: Path, reading: Reading): unknown {
  const { value } = node;
  if (typeof value === "string" && !value.isWellFormed())
    refuse(reading, path, start(node), "a lone surrogate is not text");
  else if (typeof value === "number" && !Number.isFinite(value))
    refuse(reading, path, start(node), "a number must be finite");
  else if (typeof value === "number" && Number.isInteger(value) && !Number.isSafeInteger(value)) {
    refuse(
      reading,
      path,
      start(node),
      "an integer beyond ±(2^53 − 1) loses digits",
      "write it in quotes",
    );
  } else {
    const fault = typeof value === "number" ? reading.spellingFault(path, node.source) : undefined;
    if (fault === undefined) return value;
    refuse(reading, path, start(node), fault);
  }
  return null;
}

function refuse(
  reading: Reading,
  path: Path,
  offset: number,
  message: string,
  hint?: string,
): void {
  const position = positionAt(offset, reading);
  reading.findings.push(
    hint === undefined ? { path, message, position } : { path, message, position, hint },
  );
  if (path.length > 0) reading.unreadable.push(path);
}

function locate(finding: Finding, root: ParsedNode, reading: Reading): Position {
  if (finding.position !== undefined) return finding.position;
  let node: ParsedNode | null = root;
  let key: ParsedNode = root;
  for (const part of finding.path) {
    const found = child(node, part);
    // A member that is missing: its absence is a fault of what it is missing from.
    if (found === undefined) return positionAt(start(key), reading);
    node = found.value;
    key = found.key ?? found.value ?? key;
  }
  if (finding.on === "key" || node === null) return positionAt(start(key), reading);
  const inside = finding.offset !== undefined && isScalar(node);
  return positionAt(
    inside ? offsetInScalar(node, finding.offset ?? 0, reading.text) : start(node),
    reading,
  );
}

function child(
  node: ParsedNode | null,
  part: string | number,
): { readonly key?: ParsedNode; readonly value: ParsedNode | null } | undefined {
  if (isMap(node)) {
    const pair = (node.items as { key: ParsedNode; value: ParsedNode | null }[]).find(
      ({ key }) => isScalar(key) && key.value === part,
    );
    return pair;
  }
  const item =
    isSeq(node) && typeof part === "number" ? (node as YAMLSeq<ParsedNode>).items[part] : undefined;
  return item === undefined ? undefined : { value: item };
}

/**
 * Where a character of a string stands in the text. Quotes, folds and indentation put white space between characters
 * but keep their order; an escape does not, and then the string's beginning must do.
 */
function offsetInScalar(node: ParsedNode, offset: number, text: string): number {
  const value = isScalar(node) ? String(node.value) : "";
  let at = contentStart(node, text);
  for (let index = 0; index < value.length; index++) {
    const character = value.charAt(index);
    if (isSpace(character)) {
      if (index === offset) return at;
      continue;
    }
    while (at < node.range[1] && isSpace(text.charAt(at))) at += 1;
    if (text.charAt(at) !== character) return start(node);
    if (index === offset) return at;
    at += 1;
  }
  return at;
}

/** Behind the quote, or behind the header line of a block. */
function contentStart(node: ParsedNode, text: string): number {
  const type = isScalar(node) ? node.type : undefined;
  if (type === Scalar.QUOTE_DOUBLE || type === Scalar.QUOTE_SINGLE) return start(node) + 1;
  if (type === Scalar.BLOCK_FOLDED || type === Scalar.BLOCK_LITERAL)
    return text.indexOf("\n", start(node)) + 1;
  return start(node);
}

function isSpace(character: string): boolean {
  return character === " " || character === "\t" || character === "\n" || character === "\r";
}

/** The place of a character, by its offset in UTF-16 units. */
export function positionIn(text: string, offset: number): Position {
  const before = text.slice(0, offset);
  return { line: before.split("\n").length, column: offset - before.lastIndexOf("\n") };
}

function start(node: ParsedNode): number {
  return node.range[0];
}

function positionAt(offset: number, reading: Reading): Position {
  const { line, col } = reading.lines.linePos(offset);
  return line === 0 ? { line: 1, column: offset + 1 } : { line, column: col };
}
