/** Exact decimals in Lua, whose numbers are binary fractions: sums and comparisons go by texts, 14 digits at a time. */

/**
 * `add(a, b)` and `exceeds(a, b)` on decimals as core's `isDecimal` has them, of any length. Two pieces of 14 digits and
 * a carry stay below 2^53, where doubles are exact.
 */
export const DECIMAL_LUA = `
local PIECE, UNIT = 14, 1e14

local function parts(text)
  local point = string.find(text, '.', 1, true)
  if not point then return text, '' end
  return string.sub(text, 1, point - 1), string.sub(text, point + 1)
end

local function short(text)
  return #text <= PIECE and not string.find(text, '.', 1, true)
end

-- Both in digits of the same unit and of equal length, a multiple of PIECE; 'scale' of them behind the point.
local function align(a, b)
  local whole_a, fraction_a = parts(a)
  local whole_b, fraction_b = parts(b)
  local scale = math.max(#fraction_a, #fraction_b)
  local x = whole_a .. fraction_a .. string.rep('0', scale - #fraction_a)
  local y = whole_b .. fraction_b .. string.rep('0', scale - #fraction_b)
  local length = math.ceil(math.max(#x, #y) / PIECE) * PIECE
  return string.rep('0', length - #x) .. x, string.rep('0', length - #y) .. y, scale
end

local function piece(digits, at)
  return tonumber(string.sub(digits, at, at + PIECE - 1), 10)
end

-- In the one spelling that a decimal has. Loops, for a pattern for zeros at the end would try at every zero.
local function print_decimal(digits, scale)
  local first, last, point = 1, #digits, #digits - scale
  while first < point and string.byte(digits, first) == 48 do first = first + 1 end
  while last > point and string.byte(digits, last) == 48 do last = last - 1 end
  local whole = string.sub(digits, first, point)
  if last == point then return whole end
  return whole .. '.' .. string.sub(digits, point + 1, last)
end

local function add(a, b)
  if short(a) and short(b) then return string.format('%.0f', tonumber(a, 10) + tonumber(b, 10)) end
  local x, y, scale = align(a, b)
  local carry, pieces = 0, {}
  for at = #x - PIECE + 1, 1, -PIECE do
    local sum = piece(x, at) + piece(y, at) + carry
    carry = sum >= UNIT and 1 or 0
    table.insert(pieces, 1, string.format('%014.0f', sum - carry * UNIT))
  end
  return print_decimal(carry .. table.concat(pieces), scale)
end

local function exceeds(a, b)
  if short(a) and short(b) then return tonumber(a, 10) > tonumber(b, 10) end
  local x, y = align(a, b)
  for at = 1, #x, PIECE do
    local left, right = piece(x, at), piece(y, at)
    if left ~= right then return left > right end
  end
  return false
end
`;
