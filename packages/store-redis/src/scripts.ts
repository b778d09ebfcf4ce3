/**
 * What the server does in one step, as Lua. A script is known by the digest of its text, so gates of different versions
 * on one server each run their own.
 *
 * INVARIANT: an append looks at everything before it writes anything. Redis does not undo what a script wrote before it failed.
 */
import { hash } from "node:crypto";
import { DECIMAL_LUA } from "./decimal-lua.ts";

/** A script, and the name that the server knows it by once it was loaded. */
export interface Script {
  readonly text: string;
  readonly sha1: string;
}

/** What {@link APPEND} answers for an append where it is not the position that its last record got in the log. */
export const APPEND_ANSWERS = { stands: 0, lost: -1, replay: -2, limited: -3 } as const;

/** More than one call can begin to count, so that windows that ended become fewer with every append. */
const FORGOTTEN_AT_ONCE = 8;

/**
 * Appends, one after another, each judged on what those before it left. KEYS: log, open, documents, counters, windows,
 * and the sequence of each append. ARGV: a position that the log had reached; then for each append the sequence's name,
 * its numbers of records, documents and counter steps, before which end of a window counters are forgotten; for each
 * record its seq, `n<nonce>`, line, hash and open ALLOW, and the hash that it closes (empty where there is none); for
 * each document digest and text; for each step counter, amount, maximum and end of window. Answers a number for each
 * append, or nothing where the log went back.
 */
export const APPEND: Script = script(`#!lua
${DECIMAL_LUA}
local call = redis.call
local log, open, documents, counters, windows = unpack(KEYS, 1, 5)
local position = call('XLEN', log)
if position < tonumber(ARGV[1]) then return false end

-- These very bytes at these places: the retry of an append whose answer was not heard.
local function stand(sequence, first, past)
  for at = first, past - 1, 6 do
    local place = call('HGET', sequence, ARGV[at])
    if not place then return false end
    if call('XRANGE', log, place, place)[1][2][6] ~= ARGV[at + 2] then return false end
  end
  return true
end

-- What the counters stand at after the steps; nothing where one would exceed its maximum.
local function move(first, past)
  local totals = {}
  for at = first, past - 1, 4 do
    local counter = ARGV[at]
    local total = add(totals[counter] or call('HGET', counters, counter) or '0', ARGV[at + 1])
    if exceeds(total, ARGV[at + 2]) then return nil end
    totals[counter] = total
  end
  return totals
end

local function count(first, past, totals, forgotten)
  for _, counter in ipairs(call('ZRANGEBYSCORE', windows, '-inf', '(' .. forgotten, 'LIMIT', 0, ${FORGOTTEN_AT_ONCE})) do
    call('HDEL', counters, counter)
    call('ZREM', windows, counter)
  end
  for at = first, past - 1, 4 do
    call('HSET', counters, ARGV[at], totals[ARGV[at]])
    call('ZADD', windows, 'NX', ARGV[at + 3], ARGV[at])
  end
end

local function append(sequence, at)
  local name, records = ARGV[at], tonumber(ARGV[at + 1])
  local first = at + 5
  local texts = first + 6 * records
  local steps = texts + 2 * tonumber(ARGV[at + 2])
  local past = steps + 4 * tonumber(ARGV[at + 3])

  local fields, twice = {'h'}, false
  for at = first, texts - 1, 6 do
    local nonce = ARGV[at + 1]
    if nonce ~= '' then
      for burnt = 2, #fields do twice = twice or fields[burnt] == nonce end
      fields[#fields + 1] = nonce
    end
  end
  local known = call('HMGET', sequence, unpack(fields))
  local head = tonumber(known[1] or 0)
  for at = first, texts - 1, 6 do
    if tonumber(ARGV[at]) ~= head + (at - first) / 6 then
      return past, stand(sequence, first, texts) and ${APPEND_ANSWERS.stands} or ${APPEND_ANSWERS.lost}
    end
  end
  for burnt = 2, #fields do twice = twice or known[burnt] end
  if twice then return past, ${APPEND_ANSWERS.replay} end
  local totals = move(steps, past)
  if not totals then return past, ${APPEND_ANSWERS.limited} end

  -- From here on everything is written, the log first: it refuses an entry that does not follow its last.
  local placed = {'h', head + records}
  for at = first, texts - 1, 6 do
    local seq, nonce, line, hash, opens, closes = unpack(ARGV, at, at + 5)
    call('XADD', log, position + 1 .. '-0', 's', name, 'n', seq, 'l', line)
    position = position + 1
    placed[#placed + 1] = seq
    placed[#placed + 1] = position
    if nonce ~= '' then
      placed[#placed + 1] = nonce
      placed[#placed + 1] = seq
    end
    if opens ~= '' then call('HSET', open, hash, opens) end
    if closes ~= '' then call('HDEL', open, closes) end
  end
  call('HSET', sequence, unpack(placed))
  for at = texts, steps - 1, 2 do call('HSETNX', documents, ARGV[at], ARGV[at + 1]) end
  if past > steps then count(steps, past, totals, ARGV[at + 4]) end
  return past, position
end

local answers, at = {}, 2
for key = 6, #KEYS do
  local answer
  at, answer = append(KEYS[key], at)
  answers[#answers + 1] = answer
end
return answers
`);

/** KEYS: sequence, log. ARGV: the place to begin at, the place to end before. Answers the lines between them. */
export const READ: Script = script(`#!lua flags=no-writes
local sequence, log = unpack(KEYS)
local lines, head = {}, tonumber(redis.call('HGET', sequence, 'h') or 0)
for seq = tonumber(ARGV[1]), math.min(tonumber(ARGV[2]), head) - 1 do
  local place = redis.call('HGET', sequence, seq)
  lines[#lines + 1] = redis.call('XRANGE', log, place, place)[1][2][6]
end
return lines
`);

/**
 * KEYS: tree, log. ARGV: the tree's size, how many leaves to add, then for each node its `level/index` and hash. Answers 1,
 * or 0 where the tree has another size.
 */
export const INDEX: Script = script(`#!lua
local tree, log = unpack(KEYS)
local size, after = tonumber(ARGV[1]), tonumber(ARGV[1]) + tonumber(ARGV[2])
if tonumber(redis.call('HGET', tree, 'size') or 0) ~= size then return 0 end
if redis.call('XLEN', log) < after then return 0 end
for at = 3, #ARGV, 2 do redis.call('HSET', tree, ARGV[at], ARGV[at + 1]) end
redis.call('HSET', tree, 'size', after)
return 1
`);

function script(text: string): Script {
  return { text, sha1: hash("sha1", text) };
}
