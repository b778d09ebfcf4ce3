/** The part of a node-redis client that this store uses, and a link of its own made from the one that the user passes in. */

/** One connection to a server. */
export interface RedisLink {
  readonly isReady: boolean;
  on(event: "error", listener: (error: unknown) => void): unknown;
  connect(): Promise<unknown>;
  sendCommand(args: readonly string[]): Promise<unknown>;
  destroy(): void;
  unref(): void;
}

/** A client of `createClient` of `@redis/client` or `redis`: connected or not, it is only copied. */
export interface RedisClient extends RedisLink {
  readonly options: object | undefined;
  duplicate(overrides?: object): RedisLink;
}

/**
 * A link with the user's own address and credentials that sends each command once or not at all: it queues nothing while
 * it is offline, and never reconnects, for node-redis sends after a reconnect what it had not sent before.
 */
export function newLink(client: RedisClient, timeoutMs: number): RedisLink {
  const link = client.duplicate({
    socket: { ...socketOf(client), reconnectStrategy: false, connectTimeout: timeoutMs },
    disableOfflineQueue: true,
    // Replies in the shapes of RESP 2, whatever the client asks for; what RESP 3 is needed for is of no use here.
    RESP: 2,
    clientSideCache: undefined,
    emitInvalidate: false,
    maintNotifications: "disabled",
    readonly: false,
    pingInterval: undefined,
    // A timer for each command would cost more than the command; a link has one for each turn.
    commandOptions: { timeout: undefined, typeMapping: {} },
  });
  // Its commands are rejected as well; without a listener the process would end.
  link.on("error", () => {});
  // What is under way has timers that keep a process alive; a connection with nothing to do must not.
  link.unref();
  return link;
}

/** Ends a link, whatever state it is in; what is under way on it is rejected. */
export function endLink(link: RedisLink): void {
  try {
    link.destroy();
  } catch {
    // Before 6.1 a client throws that is closed already.
  }
}

/** @throws TypeError for what is no client of `createClient`. */
export function mustBeClient(client: unknown): void {
  // Clients of a Cluster or of Sentinel can do the rest, but make no pool.
  if (isObject(client) && typeof client["createPool"] === "function") return;
  throw new TypeError(
    "client must come from createClient of @redis/client: a log lives on one primary, in a Cluster on that of its slot",
  );
}

function socketOf({ options }: RedisClient): object {
  const socket = isObject(options) ? options["socket"] : undefined;
  return isObject(socket) ? socket : {};
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null;
}
