/** The guard: decides before the handler runs, lets it run on ALLOW alone with the arguments decided, records what came of it. */
import { type Decision, DeniedError, type Deny, GateError } from "@stepgate/core";
import type { NextFunction, Request, Response } from "express";
import { answerDenied, setDecisionHeaders } from "./denial.ts";
import { checkedOptions, type GuardOptions } from "./guard-options.ts";
import { decideRequest } from "./request-decision.ts";
import { recordOutcome, recordWhenAnswered } from "./request-outcome.ts";

/** What a guard granted to one request. */
export interface Grant<A> {
  /** The decided copy of what `args` returned. The handler acts on this, not on `req.body`. */
  readonly args: A;
  /**
   * The ALLOW, with receipt and permit. In shadow mode, where a denied request proceeds, the DENY that enforcing would
   * have answered; in enforce mode it is an ALLOW always.
   */
  readonly decision: Decision;
}

/** A guard stands inline, beside the handler that it guards: `app.post(path, express.json(), refund, handler)`. */
export interface Guard<A> {
  // Generic in `P`, so that the handler behind it keeps the literal `req.params` of its route. `any` is Express's own
  // spelling for a handler that takes every body, query and locals.
  <P>(
    req: Request<P, any, any, any, any>,
    res: Response<any, any>,
    next: NextFunction,
  ): Promise<void>;
  /**
   * What this guard granted to the request that `res` answers.
   * @throws GateError BYPASSED where it granted nothing: the handler was reached by a way that does not pass the guard.
   */
  grant(res: Response<any, any>): Grant<A>;
}

/**
 * Puts the gate before one route. A denied request is answered (`onDeny: "respond"`) or passed on as an error, and its
 * handler does not run. Mount it after authentication and after the body parser.
 *
 * @throws TypeError for missing, unknown or mistyped options.
 * @example
 * const refund = guard({ gate, tool: "refund", sequenceId: (req) => sessionOf(req), args: (req) => ({ amount: Number(req.body.amount) }) });
 * app.post("/orders/:id/refund", express.json(), refund, (req, res) => { pay(req.params.id, refund.grant(res).args.amount); res.sendStatus(204); });
 */
export function guard<A>(options: GuardOptions<A>): Guard<A> {
  const checked = checkedOptions(options);
  const grants = new WeakMap<Response, Grant<A>>();

  async function guardRequest<P>(
    req: Request<P, any, any, any, any>,
    res: Response<any, any>,
    next: NextFunction,
  ): Promise<void> {
    // The options read `req` as any handler does: a route's literal params are such params.
    const decision = await decideRequest(checked, req as unknown as Request);
    if (isOver(req, res)) return abandon(checked, decision);
    setDecisionHeaders(res, decision);
    if (decision.decision === "ALLOW") recordWhenAnswered(checked, decision, res);
    else if (!decision.proceed || decision.args === undefined)
      return refuse(checked, decision, res, next);
    // What `args` returned was JSON, or the gate would have refused it: its copy is of the same type.
    grants.set(res, { args: decision.args as A, decision });
    next();
  }

  function grant(res: Response<any, any>): Grant<A> {
    const granted = grants.get(res);
    if (granted === undefined)
      throw new GateError("BYPASSED", "this guard granted nothing to this request");
    return granted;
  }

  return Object.assign(guardRequest, { grant });
}

/**
 * True where nobody waits any more: the client has gone, or something else has answered meanwhile. Not `req.destroyed`,
 * which is true once a body has been read.
 */
function isOver(req: { readonly socket: { readonly destroyed: boolean } }, res: Response): boolean {
  return res.destroyed || req.socket.destroyed || res.headersSent;
}

/** The handler does not run; an ALLOW is closed as interrupted, so that the same nonce may come again. */
async function abandon<A>(options: GuardOptions<A>, decision: Decision): Promise<void> {
  if (decision.decision === "ALLOW")
    await recordOutcome(options, decision, { status: "interrupted" });
}

/** Answers, or calls `next` with the denial: one of the two. */
function refuse<A>(
  options: GuardOptions<A>,
  denied: Deny,
  res: Response,
  next: NextFunction,
): void {
  if (options.onDeny === "next") next(new DeniedError(denied));
  else answerDenied(res, denied);
}
