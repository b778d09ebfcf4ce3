/** What a server says of itself, and whether a log may be entrusted to it: each setting on its own, in words. */
import type { StoreFinding } from "@stepgate/core";

/** What INFO and CONFIG GET answered. */
export interface ServerFacts {
  readonly info: ReadonlyMap<string, string>;
  readonly config: ReadonlyMap<string, string>;
}

/** What is asked of the server. */
export interface ServerDemands {
  /** `always`: on disk before it is answered. `everysec`: the last second may be lost with the machine or its power. */
  readonly durability: "always" | "everysec";
  /** How many replicas must have a record before it counts. */
  readonly replicas: number;
}

/** The settings that INFO does not tell. */
export const CONFIG_NAMES = [
  "appendfsync",
  "no-appendfsync-on-rewrite",
  "min-replicas-to-write",
] as const;

const OLDEST_MAJOR = 7;

/** Every finding, in an order in which to mend them. */
export function serverFindings(
  facts: ServerFacts,
  demands: ServerDemands,
): readonly StoreFinding[] {
  return [
    versionFinding(facts),
    roleFinding(facts),
    appendOnlyFinding(facts),
    fsyncFinding(facts, demands),
    rewriteFinding(facts, demands),
    writeStatusFinding(facts),
    evictionFinding(facts),
    memoryFinding(facts),
    replicaFinding(facts, demands),
    fewReplicasFinding(facts, demands),
    failoverFinding(demands),
  ];
}

function versionFinding({ info }: ServerFacts): StoreFinding {
  const version = info.get("redis_version") ?? "of an unknown version";
  const name = info.get("server_name") ?? "Redis";
  const full = `${name} ${info.get("valkey_version") ?? version}`;
  if (Number.parseInt(version, 10) >= OLDEST_MAJOR) return ok("version", `The server is ${full}.`);
  return fault(
    "version",
    `The server is ${full}; its scripts cannot say what they need, as those of Redis 7.0 and Valkey can.`,
    "run Redis 7.0 or newer, or Valkey",
  );
}

function roleFinding({ info }: ServerFacts): StoreFinding {
  const role = info.get("role");
  if (role === "master") return ok("role", "The server is a primary.");
  return fault(
    "role",
    `The server is a ${role === "slave" ? "replica" : "server of an unknown role"}: what is read there may be outdated, and nothing can be written.`,
    "connect to the primary",
  );
}

function appendOnlyFinding({ info }: ServerFacts): StoreFinding {
  const check = "appendonly";
  if (isBegun(info))
    return fault(
      check,
      "The append-only file was turned on a moment ago and is not whole yet: a restart would find nothing.",
      "wait for aof_rewrite_in_progress:0 in INFO persistence",
    );
  if (info.get("aof_enabled") === "1") return ok(check, "Writes go to an append-only file.");
  return fault(
    check,
    "There is no append-only file: a restart loses every receipt since the last snapshot, and with it what stops a second ALLOW.",
    "CONFIG SET appendonly yes, and the same in redis.conf",
  );
}

/** Until its first rewrite ends, a file that was turned on by CONFIG SET is not the one that a start reads. */
function isBegun(info: ServerFacts["info"]): boolean {
  return (
    info.get("aof_rewrite_in_progress") === "1" &&
    info.get("aof_base_size") === "0" &&
    info.get("aof_current_size") === "0"
  );
}

function fsyncFinding({ config }: ServerFacts, { durability }: ServerDemands): StoreFinding {
  const check = "appendfsync";
  const value = config.get(check);
  const fix = "CONFIG SET appendfsync always, and the same in redis.conf";
  if (value === "always") return ok(check, "A write is on disk before it is answered.");
  if (value === undefined)
    return fault(
      check,
      "The server does not tell how often it syncs its append-only file, so nobody can say when a receipt is durable.",
      "let this user run CONFIG GET",
    );
  if (value !== "everysec")
    return fault(
      check,
      `appendfsync is '${value}': with the machine, any number of acknowledged receipts may be lost.`,
      fix,
    );
  if (durability === "everysec")
    return warning(
      check,
      "appendfsync is 'everysec': with the machine or its power, the receipts of the last second or two are lost although their actions ran, and what they burnt may be allowed again.",
      fix,
    );
  return fault(
    check,
    "appendfsync is 'everysec': with the machine or its power, the receipts of the last second or two are lost although their actions ran.",
    `${fix}; or accept the loss with durability: "everysec"`,
  );
}

function rewriteFinding({ config }: ServerFacts, { durability }: ServerDemands): StoreFinding {
  const check = "no-appendfsync-on-rewrite";
  if (config.get(check) === "no")
    return ok(check, "A rewrite of the append-only file does not hold back its syncs.");
  const message =
    "While the append-only file is rewritten, nothing is synced: receipts of many seconds may be lost with the machine.";
  const fix = "CONFIG SET no-appendfsync-on-rewrite no, and the same in redis.conf";
  return durability === "always" ? fault(check, message, fix) : warning(check, message, fix);
}

function writeStatusFinding({ info }: ServerFacts): StoreFinding {
  const check = "aof_last_write_status";
  if ((info.get(check) ?? "ok") === "ok")
    return ok(check, "The last write to the append-only file went well.");
  return fault(
    check,
    "The last write to the append-only file failed: the server takes no more until it can write again.",
    "free space on the server's disk",
  );
}

function evictionFinding({ info }: ServerFacts): StoreFinding {
  const check = "maxmemory-policy";
  const policy = info.get("maxmemory_policy");
  if (policy === "noeviction") return ok(check, "Nothing is evicted.");
  return fault(
    check,
    `maxmemory-policy is '${policy ?? "unknown"}': where memory runs short the server removes keys, and a nonce that was removed is allowed again.`,
    "CONFIG SET maxmemory-policy noeviction, and the same in redis.conf",
  );
}

function memoryFinding({ info }: ServerFacts): StoreFinding {
  const check = "maxmemory";
  const limit = Number(info.get("maxmemory") ?? 0);
  if (limit > 0 && Number(info.get("used_memory") ?? 0) >= limit)
    return warning(
      check,
      "The server's memory is used up: every call is denied until there is more.",
      "CONFIG SET maxmemory to more, and the same in redis.conf",
    );
  if (limit > 0)
    return ok(
      check,
      `The log may grow to ${info.get("maxmemory_human") ?? `${limit} bytes`}; then every call is denied.`,
    );
  return warning(
    check,
    "There is no maxmemory: the log grows until the operating system ends the server, in place of denials that say so.",
    "CONFIG SET maxmemory to what the machine can spare, and the same in redis.conf",
  );
}

function replicaFinding({ info }: ServerFacts, { replicas }: ServerDemands): StoreFinding {
  const check = "replicas";
  const connected = Number(info.get("connected_slaves") ?? 0);
  if (replicas === 0) return ok(check, "No replica is waited for.");
  if (connected >= replicas)
    return ok(check, `${connected} connected, ${replicas} must have each record.`);
  return fault(
    check,
    `${replicas} must have each record, and ${connected} ${connected === 1 ? "is" : "are"} connected: nothing could be won.`,
    "connect the replicas, or ask for fewer",
  );
}

function fewReplicasFinding({ config }: ServerFacts, { replicas }: ServerDemands): StoreFinding {
  const check = "min-replicas-to-write";
  const least = Number(config.get(check) ?? 0);
  if (least >= replicas)
    return ok(check, `Writes are refused while fewer than ${least} replicas are in time.`);
  return warning(
    check,
    `A record that fewer than ${replicas} replicas have is written all the same, and its call is denied.`,
    `CONFIG SET min-replicas-to-write ${replicas}, and the same in redis.conf`,
  );
}

function failoverFinding({ replicas }: ServerDemands): StoreFinding {
  if (replicas > 0)
    return warning(
      "failover",
      `A record counts once ${replicas} ${replicas === 1 ? "replica has" : "replicas have"} it in memory. If another replica is promoted, or one that restarted, acknowledged records can be missing: WAIT does not make Redis strongly consistent.`,
      "promote only a replica with the largest offset, by hand",
    );
  return warning(
    "failover",
    "One server keeps the log. If a replica is promoted in its place, acknowledged records can be missing there, and a step or nonce may be allowed a second time.",
    "promote no replica, or wait for replicas with replicas: n",
  );
}

function ok(check: string, message: string): StoreFinding {
  return { check, level: "ok", message };
}

function warning(check: string, message: string, fix: string): StoreFinding {
  return { check, level: "warning", message, fix };
}

function fault(check: string, message: string, fix: string): StoreFinding {
  return { check, level: "fault", message, fix };
}
