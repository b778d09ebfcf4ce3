/** Names in `constraints` and `forbid` that nothing defines: what they say holds anyway, and hardly means it. */
import type { CallSelector } from "@stepgate/core/compiler";
import type { Lint, Path } from "./finding.ts";
import type { PolicyDocument } from "./policy-document.ts";
import { callSelector, SELECTOR_MEMBERS } from "./selector.ts";
import { didYouMean } from "./spelling.ts";

/** Looks up every name of the constraints and of what is forbidden. */
export function* nameLints(document: PolicyDocument, steps: readonly string[]): Generator<Lint> {
  const names = namesOf(document, steps);
  for (const [index, { never, precedence }] of (document.constraints ?? []).entries()) {
    const kind = never === undefined ? "precedence" : "never";
    for (const [side, entry] of (never ?? precedence ?? []).entries()) {
      const selector = callSelector(entry);
      const at = ["constraints", index, kind, side];
      const path = typeof entry === "string" ? at : [...at, SELECTOR_MEMBERS[selector.member]];
      yield* unknownName(selector, names, path);
    }
  }
  for (const [index, item] of (document.forbid ?? []).entries())
    for (const [list, member] of LISTS)
      for (const [at, name] of (item[list] ?? []).entries())
        yield* unknownName({ member, name }, names, ["forbid", index, list, at]);
}

const LISTS = [
  ["actions", "action_type"],
  ["functions", "function"],
  ["steps", "step"],
  ["tools", "tool"],
] as const;

type Names = Readonly<Record<CallSelector["member"], ReadonlySet<string>>>;

function namesOf({ functions, tools = {} }: PolicyDocument, steps: readonly string[]): Names {
  const actions = Object.values(functions).flatMap((entry) =>
    "actions" in entry ? entry.actions : entry,
  );
  return {
    function: new Set(Object.keys(functions)),
    step: new Set(steps),
    action_type: new Set(actions),
    tool: new Set(Object.keys(tools)),
  };
}

const WHAT: Readonly<Record<CallSelector["member"], string>> = {
  function: "is no function of this policy",
  step: "is no step of the sequence",
  action_type: "is permitted by no function",
  tool: "is no tool of this policy",
};

function* unknownName({ member, name }: CallSelector, names: Names, path: Path): Generator<Lint> {
  if (names[member].has(name)) return;
  const message = `'${name}' ${WHAT[member]}`;
  yield { code: "unknown-name", path, message, ...didYouMean(name, names[member]) };
}
