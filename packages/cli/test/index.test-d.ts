/** What the compiler says about `openGate`. */
import type { CompiledPolicy, Gate, SigningKey, Store } from "@stepgate/core";
import { expectTypeOf, test } from "vitest";
import { openGate } from "../src/index.ts";

declare const policy: CompiledPolicy;
declare const store: Store;
declare const key: SigningKey;

test("openGate takes a policy in each of its forms and gives a gate", () => {
  expectTypeOf(openGate({ policy: "policy.yaml" })).resolves.toExtend<Gate>();
  expectTypeOf(openGate).toBeCallableWith({
    policy: new URL("file:///policy.yaml"),
    store,
    keys: key,
  });
  expectTypeOf(openGate).toBeCallableWith({
    policy,
    store: "memory:",
    keys: ".stepgate",
    mode: "shadow",
  });
});

test("openGate without a policy, and with a misspelt option, does not compile", () => {
  // @ts-expect-error policy is required
  void openGate({});
  // @ts-expect-error no such option
  void openGate({ policy, permitTTL: 5 });
  // @ts-expect-error no such mode
  void openGate({ policy, mode: "audit" });
});
