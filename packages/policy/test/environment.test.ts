/** Level 0: two variables make a policy, and whatever is missing or misspelt stops the program by the variable's name. */
import { afterEach, describe, expect, test } from "vitest";
import { policyFromEnv, PolicyError } from "../src/index.ts";

const ORDER = "intake,execution,settle";
const MAP =
  '{"intake":["CHECK_STATE","READ_INPUT"],"execution":["WRITE_DB"],"settle":["SEAL_SEQUENCE"]}';

function faults(order: string | undefined, map: string | undefined): readonly string[] {
  try {
    policyFromEnv({ env: { STEPGATE_STEP_ORDER: order, STEPGATE_ACTION_MAP: map } });
    return [];
  } catch (error) {
    if (error instanceof PolicyError)
      return error.message
        .split("\n")
        .map((line) => line.replace(/^environment: /, "").replaceAll("STEPGATE_", ""));
    throw error;
  }
}

describe("two variables make a policy", () => {
  test("with the names of the page by default", () => {
    const policy = policyFromEnv({ env: { STEPGATE_STEP_ORDER: ORDER, STEPGATE_ACTION_MAP: MAP } });
    expect(policy).toMatchObject({
      id: "env",
      version: "0",
      steps: ["intake", "execution", "settle"],
    });
    expect(policy.functions.get("intake")?.actions).toEqual(new Set(["CHECK_STATE", "READ_INPUT"]));
    expect(policy.automaton.states).toBe(4);
  });

  test("or with names of one's own", () => {
    const policy = policyFromEnv({
      order: "ORDER_X",
      actions: "MAP_X",
      id: "loan",
      version: "k1",
      env: { ORDER_X: ORDER, MAP_X: MAP },
    });
    expect(policy).toMatchObject({ id: "loan", version: "k1" });
  });

  describe("from the process", () => {
    afterEach(() => {
      delete process.env["STEPGATE_STEP_ORDER"];
      delete process.env["STEPGATE_ACTION_MAP"];
    });

    test("where no environment is given", () => {
      process.env["STEPGATE_STEP_ORDER"] = ORDER;
      process.env["STEPGATE_ACTION_MAP"] = MAP;
      expect(policyFromEnv().steps).toEqual(["intake", "execution", "settle"]);
    });
  });
});

describe("there is no default that allows", () => {
  test.each<[string, string | undefined, string | undefined, readonly string[]]>([
    [
      "both missing",
      undefined,
      undefined,
      [
        "STEP_ORDER: is not set; it must hold step names separated by single commas",
        "ACTION_MAP: is not set; it must hold a JSON object of function names and lists of action types",
      ],
    ],
    [
      "an empty order",
      "",
      MAP,
      ["STEP_ORDER: is empty; it must hold step names separated by single commas"],
    ],
    [
      "an empty map",
      ORDER,
      "",
      [
        "ACTION_MAP: is empty; it must hold a JSON object of function names and lists of action types",
      ],
    ],
    ["an empty name", "intake,,execution,settle", MAP, ["STEP_ORDER: name 2 is empty"]],
    ["a trailing comma", `${ORDER},`, MAP, ["STEP_ORDER: name 4 is empty"]],
    ["a duplicate name", `${ORDER},intake`, MAP, ["STEP_ORDER: name 4 stands twice: 'intake'"]],
    [
      "white space",
      "intake, execution,settle",
      MAP,
      [
        "STEP_ORDER: name 2 has white space around it: ' execution'",
        "ACTION_MAP: step ' execution' of STEP_ORDER has no function: it could never be passed; did you mean 'execution'?",
        "ACTION_MAP: function 'execution' has no step in STEP_ORDER; did you mean ' execution'?",
      ],
    ],
    [
      "the grammar, which is for files",
      "intake,execution+,settle",
      MAP,
      [
        "STEP_ORDER: name 2 is no step name: 'execution+'",
        "ACTION_MAP: step 'execution+' of STEP_ORDER has no function: it could never be passed; did you mean 'execution'?",
        "ACTION_MAP: function 'execution' has no step in STEP_ORDER; did you mean 'execution+'?",
      ],
    ],
    ["a map that is no JSON", ORDER, "intake: [X]", ["ACTION_MAP: not JSON"]],
    ["a map that is a list", ORDER, "[]", ["ACTION_MAP: must be a JSON object"]],
    ["a map that is null", ORDER, "null", ["ACTION_MAP: must be a JSON object"]],
    [
      "an empty list",
      "a,b",
      '{"a":["X"],"b":[]}',
      ["ACTION_MAP.b: is empty: a function without action types can never be passed"],
    ],
    ["a list that is a name", "a", '{"a":"X"}', ["ACTION_MAP.a: must be a list of action types"]],
    [
      "a list with a number",
      "a",
      '{"a":["X",1]}',
      ["ACTION_MAP.a: must be a list of action types"],
    ],
    [
      "the long form, which is for files",
      "a",
      '{"a":{"actions":["X"]}}',
      ["ACTION_MAP: nested deeper than 2 levels"],
    ],
    [
      "an untrimmed action type",
      "a",
      '{"a":["X "]}',
      ["ACTION_MAP.a: 'X ' is no action type: 1 to 128 of A-Z a-z 0-9 . _ : -"],
    ],
    ["a duplicate action type", "a", '{"a":["X","Y","X"]}', ["ACTION_MAP.a: 'X' stands twice"]],
    ["a function twice", "a", '{"a":["X"],"a":["Y"]}', ["ACTION_MAP: a: a member stands twice"]],
    [
      "a function without a step",
      "a",
      '{"a":["X"],"b":["Y"]}',
      ["ACTION_MAP: function 'b' has no step in STEP_ORDER"],
    ],
    [
      "a step without a function",
      "intake,settel",
      '{"intake":["X"],"settle":["Y"]}',
      [
        "ACTION_MAP: step 'settel' of STEP_ORDER has no function: it could never be passed; did you mean 'settle'?",
        "ACTION_MAP: function 'settle' has no step in STEP_ORDER; did you mean 'settel'?",
      ],
    ],
    [
      "__proto__ as a step",
      "__proto__",
      '{"__proto__":["X"]}',
      ["STEP_ORDER: name 1 is not allowed as a name: '__proto__'"],
    ],
  ])("%s is an error that names the variable", (_, order, map, expected) => {
    expect(faults(order, map)).toEqual(expected);
  });

  test("an id that is no identifier is an error too", () => {
    expect(() =>
      policyFromEnv({ id: "a b", env: { STEPGATE_STEP_ORDER: ORDER, STEPGATE_ACTION_MAP: MAP } }),
    ).toThrow(PolicyError);
  });
});
