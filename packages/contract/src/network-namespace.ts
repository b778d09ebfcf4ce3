/**
 * A network namespace with one cable to this one: a process in it reaches this machine by that cable alone, and pulling
 * it partitions the network as no proxy does. Nobody is told; packets are gone. Linux, as root, with iproute2.
 */
import { execFileSync } from "node:child_process";

/** A namespace that exists until it is removed. */
export interface NetworkNamespace {
  /** The address of this machine at the other end of the cable. */
  readonly host: string;
  /** What comes before a command, so that it runs in the namespace. */
  readonly enter: readonly string[];
  /** Pulls the cable. */
  cut(): void;
  /** Plugs it in again. */
  join(): void;
  remove(): void;
}

/** Why this machine or this user makes none, in words; `undefined` where it does. */
export function noNamespaces(): string | undefined {
  try {
    makeNamespace(99).remove();
    return undefined;
  } catch (error) {
    return `network namespaces need Linux, root and iproute2: ${String(error).split("\n")[0]}`;
  }
}

/** Makes one; `nth` tells those of one process apart. @throws Error with what `ip` says. */
export function makeNamespace(nth: number): NetworkNamespace {
  const name = `stepgate-${process.pid}-${nth}`;
  // At most 15 characters. Addresses of process and number: tests of several processes do not meet.
  const cable = `sg${process.pid % 100_000}-${nth}`;
  const network = `10.${200 + (nth % 50)}.${(process.pid >> 6) & 255}`;
  const first = (process.pid & 63) * 4;
  const [host, guest] = [`${network}.${first + 1}`, `${network}.${first + 2}`];
  ip("netns", "add", name);
  const enter = [IP, "netns", "exec", name];
  const remove = (): void => ip("netns", "del", name);
  try {
    ip("link", "add", cable, "type", "veth", "peer", "name", "eth0", "netns", name);
    ip("addr", "add", `${host}/30`, "dev", cable);
    ip("link", "set", cable, "up");
    ip("-n", name, "addr", "add", `${guest}/30`, "dev", "eth0");
    for (const device of ["eth0", "lo"]) ip("-n", name, "link", "set", device, "up");
  } catch (error) {
    remove();
    throw error;
  }
  return {
    host,
    enter,
    cut: () => ip("link", "set", cable, "down"),
    join: () => ip("link", "set", cable, "up"),
    remove,
  };
}

/** Of iproute2. */
const IP = "ip";

function ip(...words: readonly string[]): void {
  execFileSync(IP, words, { stdio: ["ignore", "ignore", "pipe"] });
}
