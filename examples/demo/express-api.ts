/** The loan desk's HTTP API: each route stands behind its guard. A real Express app on the loopback address. */
import { once } from "node:events";
import type { AddressInfo } from "node:net";
import { guard } from "@stepgate/express";
import express from "express";
import type { CallForm, Gate } from "stepgate";
import { work } from "./loan-desk.ts";

/** The running API: `post` calls a route of one run and gives the status. */
export interface LoanApi {
  post(run: string, route: string, nonce?: string): Promise<number>;
  close(): Promise<void>;
}

const ROUTES: Readonly<Record<string, CallForm>> = {
  limits: { tool: "check_limits" },
  settlement: { tool: "settle_run" },
  // A route that writes during intake: the map does not permit it, whatever the code behind it thinks.
  correction: { function: "intake", action_type: "WRITE_DB" },
};

/** Starts the API on a free port. */
export async function startLoanApi(gate: Gate): Promise<LoanApi> {
  const app = express();
  for (const [route, call] of Object.entries(ROUTES)) {
    const guarded = guard({
      gate,
      ...call,
      // A real application takes the run from what it authenticated.
      sequenceId: (req) => String(req.params["run"]),
      args: (req) => ({ application: String(req.params["run"]) }),
    });
    app.post(`/loans/:run/${route}`, express.json(), guarded, (_req, res) => {
      res.json({ done: work(route, guarded.grant(res).args) });
    });
  }
  const server = app.listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  return {
    async post(run, route, nonce) {
      const headers = nonce === undefined ? {} : { "Stepgate-Nonce": nonce };
      const answer = await fetch(`http://127.0.0.1:${port}/loans/${run}/${route}`, {
        method: "POST",
        headers,
      });
      await answer.arrayBuffer();
      return answer.status;
    },
    async close() {
      server.closeAllConnections();
      server.close();
      await once(server, "close");
    },
  };
}
