/**
 * A TCP proxy on the loopback interface that does to connections what networks do: delay, throttle, cut, reset in the
 * midst of a message, swallow, forget. One fault at a time, on every connection there is and every one to come.
 */
import { once } from "node:events";
import { connect, createServer, type Socket } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";

/** From the client to the server, or back. */
type Direction = "up" | "down";

/** What is done to connections. */
export type NetworkFault =
  /** Every piece of data comes so much later, in both directions. */
  | { readonly kind: "delay"; readonly ms: number }
  | { readonly kind: "throttle"; readonly bytesPerSecond: number }
  /** After so many further bytes of a connection in this direction, which still arrive, both of its ends are reset. */
  | { readonly kind: "reset"; readonly direction: Direction; readonly afterBytes: number }
  /** Connections are accepted, and nothing comes of them; what was under way waits until the fault ends. */
  | { readonly kind: "blackhole" }
  /** The server forgets its connections without a word to the clients; new ones are good. */
  | { readonly kind: "half-open" }
  /** Connections are closed properly, and new ones at once. */
  | { readonly kind: "cut" };

/** A running proxy. */
export interface FaultProxy {
  readonly host: string;
  readonly port: number;
  /** From now on until `heal`, or the next fault. */
  inject(fault: NetworkFault): void;
  /** Passes everything on again, what waited first. What was reset, cut or forgotten stays so. */
  heal(): void;
  /** New connections lead to this port from now on, as where an address is moved in a failover; those there are stay. */
  redirect(port: number): void;
  /** How many connections it has accepted, over all. */
  accepted(): number;
  close(): Promise<void>;
}

/** Starts a proxy before the server at `port` of `host`; it listens on a free port of `listen`, by default loopback. */
export async function startFaultProxy(target: {
  readonly port: number;
  readonly host?: string;
  readonly listen?: string;
}): Promise<FaultProxy> {
  const { host = "127.0.0.1", listen = "127.0.0.1" } = target;
  let targetPort = target.port;
  const links = new Set<Link>();
  let accepted = 0;
  let weather = newWeather();
  const server = createServer({ noDelay: true }, (client) => {
    accepted++;
    if (weather.fault?.kind === "cut") return void client.destroy();
    const link = { client, upstream: connect({ host, port: targetPort, noDelay: true }) };
    links.add(link);
    client.once("close", () => links.delete(link));
    void carry(link, () => weather);
  });
  server.listen(0, listen);
  await once(server, "listening");
  const address = server.address();
  if (typeof address !== "object" || address === null) throw new Error("the proxy has no port");

  function change(fault?: NetworkFault): void {
    weather.over.resolve();
    weather = newWeather(fault);
    if (fault?.kind === "half-open") for (const { upstream } of links) upstream.destroy();
    if (fault?.kind === "cut")
      for (const socket of [...links].flatMap(({ client, upstream }) => [client, upstream]))
        socket.end();
  }

  return {
    host: listen,
    port: address.port,
    inject: change,
    heal: () => change(),
    redirect(port) {
      targetPort = port;
    },
    accepted: () => accepted,
    async close() {
      change();
      for (const link of links) reset(link);
      server.close();
      await once(server, "close");
    },
  };
}

interface Link {
  readonly client: Socket;
  readonly upstream: Socket;
}

/** What holds until it is `over`. */
interface Weather {
  readonly fault: NetworkFault | undefined;
  readonly over: PromiseWithResolvers<void>;
  /** Bytes that each connection has left before it is reset. */
  readonly left: WeakMap<Link, number>;
}

function newWeather(fault?: NetworkFault): Weather {
  return { fault, over: Promise.withResolvers(), left: new WeakMap() };
}

/** Carries a connection to its end. */
async function carry(link: Link, weather: () => Weather): Promise<void> {
  const { client, upstream } = link;
  // The loops below learn of errors; a socket without a listener would end the process.
  for (const socket of [client, upstream]) socket.on("error", () => {});
  const forgotten = (): boolean => upstream.destroyed && weather().fault?.kind === "half-open";
  const up = pump(link, "up", weather, () => upstream.destroyed);
  const down = pump(link, "down", weather, forgotten).catch(() => reset(link));
  await Promise.all([up.catch(() => reset(link)), down]);
}

/** Passes on one direction, in order. `gone` ends it without a word to the other end. */
async function pump(
  link: Link,
  direction: Direction,
  weather: () => Weather,
  gone: () => boolean,
): Promise<void> {
  const [from, to] =
    direction === "up" ? [link.client, link.upstream] : [link.upstream, link.client];
  try {
    for await (const chunk of from) {
      if (!(chunk instanceof Buffer)) throw new TypeError("a socket gave no bytes");
      await lateness(weather, chunk.length);
      if (!(await passOn(link, direction, weather(), chunk, to))) return;
    }
  } catch (error) {
    if (!gone()) throw error;
  }
  if (!gone()) to.end();
}

/** Resolves when the piece may go on: faults that hold data are over by then, or have held it long enough. */
async function lateness(weather: () => Weather, bytes: number): Promise<void> {
  for (;;) {
    const { fault, over } = weather();
    if (fault?.kind === "blackhole") await over.promise;
    else if (fault?.kind === "delay") return Promise.race([sleep(fault.ms), over.promise]);
    else if (fault?.kind === "throttle") {
      const ms = (1000 * bytes) / fault.bytesPerSecond;
      return Promise.race([sleep(ms), over.promise]);
    } else return;
  }
}

/** False where it reset the connection in the midst of this piece. */
async function passOn(
  link: Link,
  direction: Direction,
  { fault, left }: Weather,
  chunk: Buffer,
  to: Socket,
): Promise<boolean> {
  if (fault?.kind !== "reset" || fault.direction !== direction) {
    // What the server forgot swallows whatever is still sent.
    if (!to.destroyed) to.write(chunk);
    return true;
  }
  const bytes = left.get(link) ?? fault.afterBytes;
  left.set(link, bytes - chunk.length);
  if (bytes > chunk.length) {
    to.write(chunk);
    return true;
  }
  // The last bytes must be out before the reset, which would overtake them.
  await new Promise((resolve) => to.write(chunk.subarray(0, Math.max(bytes, 0)), resolve));
  reset(link);
  return false;
}

function reset({ client, upstream }: Link): void {
  client.resetAndDestroy();
  upstream.resetAndDestroy();
}
