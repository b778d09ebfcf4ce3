/** The tests' own PostgreSQL: it answers, it can be frozen, killed and started again, and it leaves nothing behind. */
import { connect } from "node:net";
import { describe, expect, test } from "vitest";
import { findPostgres, NO_POSTGRES, startPostgres } from "../src/postgres-server.ts";

/** The first bytes of a client that asks for TLS; every server answers them with one byte. */
const SSL_REQUEST = Buffer.from([0, 0, 0, 8, 4, 0xd2, 0x16, 0x2f]);

describe.skipIf(findPostgres() === undefined)(`a server (else skipped: ${NO_POSTGRES})`, () => {
  test("answers, is silent while it is frozen, is gone when it was killed, and starts again", async () => {
    const server = await startPostgres({ fsync: false });
    const { hostname, port } = new URL(server.url);
    const answer = (): Promise<string> => answerOf(hostname, Number(port));
    expect(server.version).toMatch(/^postgres \(PostgreSQL\) \d+/);
    expect(await answer()).toBe("N");
    server.freeze();
    expect(await answer()).toBe("silence");
    server.thaw();
    expect(await answer()).toBe("N");
    await server.kill();
    expect(await answer()).toBe("ECONNREFUSED");
    await server.start();
    expect(await answer()).toBe("N");
    await server.start();
    expect(await answer()).toBe("N");
    await server.stop();
    expect(await answer()).toBe("ECONNREFUSED");
  });
});

function answerOf(host: string, port: number): Promise<string> {
  const { promise, resolve } = Promise.withResolvers<string>();
  const socket = connect(port, host, () => socket.write(SSL_REQUEST));
  socket.setTimeout(300, () => resolve("silence"));
  socket.on("data", (bytes) => resolve(String(bytes)));
  socket.on("error", (error) => resolve("code" in error ? String(error.code) : error.message));
  return promise.finally(() => socket.destroy());
}
