/** The contracts of the tests as the reference knows them: read from their documents, their orders written by hand. */
import { LOAN_APPROVAL, RESEARCH } from "../policies.ts";
import type { Contract } from "./judge.ts";
import { expressionOrder, listOrder, type StepOrder } from "./step-order.ts";

interface Document {
  readonly functions: Readonly<
    Record<
      string,
      readonly string[] | { readonly step?: string; readonly actions: readonly string[] }
    >
  >;
  readonly tools?: Readonly<
    Record<
      string,
      {
        readonly function: string | readonly string[];
        readonly action: string;
        readonly audience?: string;
      }
    >
  >;
  readonly sealOn?: readonly string[];
}

/** The eight-step loan approval. */
export const loanApproval: Contract = contract(
  LOAN_APPROVAL,
  listOrder([
    "intake",
    "disruption",
    "instability",
    "state_read",
    "internal_driver",
    "execution",
    "boundary",
    "settle",
  ]),
  300_000,
  86_400_000,
);

/** Branches and loops: `intake, (search+ | draft), review{1,2}, (publish | archive)?` */
export const research: Contract = contract(
  RESEARCH,
  expressionOrder(
    { intake: "i", search: "s", draft: "d", review: "r", publish: "p", archive: "a" },
    /i(s+|d)r{1,2}(p|a)?/,
    8,
  ),
  90_000,
  7_200_000,
);

function contract(
  document: Document,
  order: StepOrder,
  freshnessMs: number,
  lifetimeMs: number,
): Contract {
  return {
    order,
    functions: new Map(
      Object.entries(document.functions)
        .map(([name, entry]) => ["actions" in entry ? entry : { actions: entry }, name] as const)
        .map(([entry, name]) => [
          name,
          { step: "step" in entry ? (entry.step ?? name) : name, actions: entry.actions },
        ]),
    ),
    tools: new Map(
      Object.entries(document.tools ?? {}).map(([name, tool]) => [
        name,
        {
          functions: [tool.function].flat(),
          action: tool.action,
          ...(tool.audience === undefined ? {} : { audience: tool.audience }),
        },
      ]),
    ),
    sealOn: document.sealOn ?? [],
    freshnessMs,
    lifetimeMs,
  };
}
