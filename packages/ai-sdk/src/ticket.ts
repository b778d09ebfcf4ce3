/** The one-shot ticket between `toolApproval` and `execute`: one decision a call, although the SDK asks twice. */
import type { Decision } from "@stepgate/core";

/** What a ticket is for: this call, of this sequence, with these arguments. */
export interface TicketKey {
  readonly sequenceId: string;
  readonly tool: string;
  readonly toolCallId: string | undefined;
  /** Canonical text of the arguments; `undefined` where they have none, which no ticket is for. */
  readonly argsText: string | undefined;
}

/** The result of presenting a call: its decision, if there is one to take, and those that nobody will take any more. */
interface Taken {
  readonly decision: Decision | undefined;
  readonly withdrawn: readonly Decision[];
}

/** The tickets of one `gateTools` call. */
export interface TicketBox {
  /** Keeps a decision for `execute`; returns what has expired meanwhile. */
  leave(key: TicketKey, decision: Decision): readonly Decision[];
  /** Takes the ticket of this call. Of other arguments, or expired: not taken, but withdrawn. */
  take(key: TicketKey): Taken;
}

interface Ticket {
  readonly argsText: string | undefined;
  readonly decision: Decision;
  /** In milliseconds of the monotonic clock. */
  readonly until: number;
}

/** How long a ticket without a permit lasts, in milliseconds: the default life of a permit. */
const LIFE_MS = 60_000;

/** An empty box. */
export function createTicketBox(): TicketBox {
  const box = new Map<string, Ticket[]>();
  return {
    leave(key, decision) {
      const now = performance.now();
      const expired = sweep(box, now);
      const slot = slotOf(key);
      box.set(slot, [
        ...(box.get(slot) ?? []),
        { argsText: key.argsText, decision, until: now + lifeOf(decision) },
      ]);
      return expired;
    },
    take(key) {
      const now = performance.now();
      const slot = slotOf(key);
      const tickets = box.get(slot) ?? [];
      const found = tickets.findIndex(
        ({ argsText, until }) => argsText !== undefined && argsText === key.argsText && now < until,
      );
      const ticket = tickets[found];
      if (ticket === undefined) {
        box.delete(slot);
        return { decision: undefined, withdrawn: tickets.map(({ decision }) => decision) };
      }
      keep(box, slot, tickets.toSpliced(found, 1));
      return { decision: ticket.decision, withdrawn: [] };
    },
  };
}

function slotOf({ sequenceId, tool, toolCallId }: TicketKey): string {
  return JSON.stringify([sequenceId, tool, toolCallId ?? ""]);
}

/** As long as the permit, by the span between the gate's own two times: this host's wall clock may differ. */
function lifeOf({ receipt }: Decision): number {
  return receipt?.permit_expires_ms === undefined
    ? LIFE_MS
    : receipt.permit_expires_ms - receipt.ts_ms;
}

function sweep(box: Map<string, Ticket[]>, now: number): readonly Decision[] {
  const expired: Decision[] = [];
  for (const [slot, tickets] of box) {
    for (const { decision, until } of tickets) if (until <= now) expired.push(decision);
    keep(
      box,
      slot,
      tickets.filter(({ until }) => now < until),
    );
  }
  return expired;
}

function keep(box: Map<string, Ticket[]>, slot: string, tickets: Ticket[]): void {
  if (tickets.length === 0) box.delete(slot);
  else box.set(slot, tickets);
}
