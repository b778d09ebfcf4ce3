/** Patterns of agents, such as `bot-*`: `*` is any run of characters, the whole name counts, and so does case. */

/** True where the pattern matches the whole name. No pattern makes it try a part of the name twice for one `*`. */
export function matchesPattern(pattern: string, agentId: string): boolean {
  const [first = "", ...rest] = pattern.split("*");
  const last = rest.pop();
  if (last === undefined) return agentId === pattern;
  if (agentId.length < first.length + last.length) return false;
  if (!agentId.startsWith(first) || !agentId.endsWith(last)) return false;
  const end = agentId.length - last.length;
  let at = first.length;
  // The leftmost place for each part leaves the most room for those behind it.
  for (const part of rest) {
    const found = agentId.indexOf(part, at);
    if (found === -1 || found + part.length > end) return false;
    at = found + part.length;
  }
  return true;
}
